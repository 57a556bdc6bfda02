import pytest

pytestmark = pytest.mark.asyncio


async def test_the_app_says_where_it_listens(capsys, app, tcp_connect, tcp_port):
    async with app.test_app():
        printed = capsys.readouterr().out
        assert f"TCP port {tcp_port}" in printed, (
            f"the app should print a line with `TCP port {tcp_port}`, but prints: {printed}"
        )
        await tcp_connect()


@pytest.mark.parametrize("tcp_port", [None, ""], indirect=True, ids=["unset", "empty"])
async def test_without_a_port_there_is_no_tcp_source(capsys, app):
    async with app.test_app():
        printed = capsys.readouterr().out
    assert "TCP port" not in printed, f"no port is set, but the app prints: {printed}"
