"""What a server gives to an app otherwise than the app expects it, made right on the way."""


def with_both_keys(receive):
    """An ASGI `receive` for WebSockets whose messages always have both keys, text and bytes.

    Uvicorn leaves out the key that is None, and Quart then fails on an empty b"".
    """

    async def receive_both():
        return {"text": None, "bytes": None, **await receive()}

    return receive_both
