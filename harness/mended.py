"""What a server gives to an app otherwise than the app expects it, made right on the way."""

import logging

DISCONNECTS = {("uvicorn", "ClientDisconnected"), ("quart", "ClientDisconnectedError")}


def with_both_keys(receive):
    """An ASGI `receive` for WebSockets whose messages of bytes have a text, too.

    Quart looks for a text where the bytes are empty, and would fail without one.
    """

    async def receive_both():
        message = await receive()
        return {"text": message.get("bytes"), **message}

    return receive_both


def is_disconnect(error):
    """Whether an exception, or each one in a group, only says that the client has disconnected.

    Uvicorn raises such an exception in a send() right after the client has disconnected. So does
    Quart since 0.23, and also in a task that waits in receive(). The group of the handler's tasks
    then ends with it. The app has done nothing wrong.
    """
    if isinstance(error, ExceptionGroup):
        return all(map(is_disconnect, error.exceptions))
    kind = type(error)
    return (kind.__module__.partition(".")[0], kind.__name__) in DISCONNECTS


def log_no_disconnects(app):
    """Let neither an app nor Uvicorn log such an exception."""
    for logger in (app.logger, logging.getLogger("uvicorn.error")):
        logger.addFilter(is_no_disconnect)


def is_no_disconnect(record):
    """Whether a record of a log says anything else than that a client has disconnected."""
    return not (record.exc_info and is_disconnect(record.exc_info[1]))
