"""What a server gives to an app otherwise than the app expects it, made right on the way."""


def with_both_keys(receive):
    """An ASGI `receive` for WebSockets whose messages of bytes have a text, too.

    Quart looks for a text where the bytes are empty, and would fail without one.
    """

    async def receive_both():
        message = await receive()
        return {"text": message.get("bytes"), **message}

    return receive_both
