import re
import socket

import pytest

pytestmark = pytest.mark.asyncio


@pytest.fixture
def taken(tcp_port):
    """Another program listens on the app's TCP port before the app starts."""
    with socket.create_server(("127.0.0.1", tcp_port)):
        yield tcp_port


async def test_a_taken_tcp_port_gives_one_sentence_and_the_app_goes_on(taken, app, caplog):
    async with app.test_app():
        async with app.test_client().websocket("/api/v3/ws"):
            pass
    sentences = [text for text in caplog.messages if "QUART_TCP_PORT" in text]
    assert len(sentences) == 1, f"one sentence should name QUART_TCP_PORT: {caplog.messages}"
    assert str(taken) in sentences[0], f"it should name the port, {taken}, too: {sentences[0]}"


@pytest.mark.parametrize("tcp_port", [None], indirect=True, ids=["unset"])
async def test_the_port_is_5001_if_nothing_is_set(capsys, caplog, app):
    async with app.test_app():
        told = capsys.readouterr().out + caplog.text
    assert "5001" in told, f"the app should listen on TCP port 5001 or say that it is taken: {told}"


@pytest.mark.parametrize("tcp_port", ["0"], indirect=True, ids=["0"])
async def test_port_0_is_any_free_one_and_the_app_says_which(capsys, app, tcp_connect):
    async with app.test_app():
        printed = re.search(r"TCP port (\d+)", capsys.readouterr().out)
        assert printed, "the app prints no line with `TCP port` and the number"
        await tcp_connect(int(printed[1]))


@pytest.mark.parametrize("tcp_port", [""], indirect=True, ids=["empty"])
async def test_an_empty_port_means_no_tcp_source(capsys, app):
    async with app.test_app():
        pass
    assert "TCP port" not in capsys.readouterr().out
