"""A program that takes part without a browser: python client.py NAME WORD [PORT]"""

import asyncio
import json
import sys
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

from websockets.asyncio.client import connect


def get_ticket(url, name, word):
    """Sign in, and get a ticket, which is all that the handshake needs."""
    opener = build_opener(HTTPCookieProcessor())  # it keeps the session's cookie
    try:
        opener.open(f"{url}/sign-in", urlencode({"name": name, "word": word}).encode())
        return opener.open(f"{url}/api/v3/tickets", b"").read().decode()
    except HTTPError as error:
        reasons = {403: "this isn't the class word", 409: "this name is taken"}
        raise SystemExit(reasons.get(error.code, error)) from None


async def main(name, word, port="5000"):
    headers = {"Authorization": f"Bearer {get_ticket(f'http://127.0.0.1:{port}', name, word)}"}
    url = f"ws://127.0.0.1:{port}/api/v3/ws"
    async with connect(url, additional_headers=headers) as connection:
        await connection.send("I am a program.")
        async for frame in connection:
            for message in json.loads(frame).get("messages", []):
                print(f"{message['from']}: {message['text']}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
