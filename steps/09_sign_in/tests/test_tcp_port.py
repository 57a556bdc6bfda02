import socket

import pytest

pytestmark = pytest.mark.asyncio


async def test_the_app_prints_its_tcp_port(capsys, app, tcp_connect, tcp_port):
    async with app.test_app():
        await tcp_connect()
        printed = capsys.readouterr().out
        lines = [line for line in printed.splitlines() if "TCP port" in line]
        assert any(str(tcp_port) in line for line in lines), (
            f"the app should print a line with `TCP port` and {tcp_port}, but prints "
            f"{printed or 'nothing'}"
        )


@pytest.fixture
def bound(monkeypatch):
    """The ports that were asked for from now on; 0 is any port, as for a live server of tests."""
    ports, bind = set(), socket.socket.bind

    def remember(self, address):
        ports.add(address[1] if isinstance(address, tuple) else 0)
        return bind(self, address)

    monkeypatch.setattr(socket.socket, "bind", remember)
    return ports


@pytest.mark.parametrize("tcp_port", [None, ""], indirect=True, ids=["unset", "empty"])
async def test_without_a_port_there_is_no_tcp_server(capsys, bound, app, tcp_port):
    async with app.test_app():
        printed = capsys.readouterr().out
    unset = "no port is set" if tcp_port is None else "QUART_TCP_PORT is empty"
    assert bound <= {0}, f"{unset}, but the app listens on {bound - {0}}"
    assert "TCP port" not in printed, f"{unset}, but the app prints: {printed}"
