import asyncio
import re

import pytest
import pytest_asyncio

from harness import patience

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all of them


class Network:
    """Between a page and its server; while it loses something, that goes nowhere."""

    def __init__(self):
        self.loses_messages = self.loses_answers = False
        self.has_lost_an_answer = asyncio.Event()

    def between(self, socket):
        server = socket.connect_to_server()
        socket.on_message(lambda data: self.loses_messages or server.send(data))
        server.on_message(lambda data: self.lose(data) if self.loses_answers else socket.send(data))

    def lose(self, data):
        if "stored" in data:
            self.has_lost_an_answer.set()

    async def loses_an_answer(self):
        try:
            await patience.within(patience.DEADLINE, self.has_lost_an_answer.wait())
        except TimeoutError:
            raise AssertionError(
                "the page sent a message, and no frame with 'stored' came back: does its address "
                "name a `sender`?"
            ) from None


class Tab:
    """What a test does with the page and expects of it, in words."""

    def __init__(self, page, expect, server):
        self.page, self.expect, self.server = page, expect, server
        self.network = Network()

    async def open(self):
        await self.page.route_web_socket(re.compile("/api/"), self.network.between)
        await self.page.add_init_script("Math.random = () => 0.1")  # so that it is soon back
        await self.page.goto(self.server.url)
        await self.is_connected()

    async def is_connected(self):
        button = self.page.get_by_role("button", name="Send")
        await self.expect(button, "the button should work once the socket is open").to_be_enabled()

    async def send(self, *texts):
        for text in texts:
            await self.page.get_by_role("textbox", name="Message").fill(text)
            await self.page.get_by_role("button", name="Send").click()

    async def break_connection(self, then_loses_messages=False):
        self.server.leave()
        state = self.page.get_by_role("status")
        await self.expect(state, "the connection is gone").to_contain_text("Disconnected")
        self.network.loses_messages, self.network.loses_answers = then_loses_messages, False
        self.server.come_back()

    async def shows(self, *texts, why):
        await self.expect(self.page.get_by_role("listitem"), why).to_have_text(texts)

    async def notes(self, count, why):
        note = self.page.get_by_role("note", name="Pending")
        await self.expect(note, why).to_have_text(f"{count} not stored yet")


@pytest_asyncio.fixture(loop_scope="session")
async def tab(page, expect, server):
    tab = Tab(page, expect, server)
    await tab.open()
    return tab


async def test_messages_that_were_lost_on_their_way_are_sent_again_in_order(tab):
    await tab.send("first")
    await tab.shows("first", why="a message that is sent should come back")
    tab.network.loses_messages = True
    await tab.send("second", "third", "second")
    await tab.notes(3, "three messages were sent and none answered, and the note should say so")
    await tab.break_connection()
    await tab.shows(
        *("first", "second", "third", "second"),
        why="three messages were lost with the connection, and should be sent again in order once "
        "the page is connected",
    )
    await tab.notes(0, "all messages are stored now, and the note should say so")


async def test_messages_that_are_lost_twice_are_sent_a_third_time(tab):
    tab.network.loses_messages = True
    await tab.send("first", "second")
    await tab.break_connection(then_loses_messages=True)
    await tab.is_connected()
    await tab.notes(2, "both messages were lost again: each should be kept until it is answered")
    await tab.break_connection()
    await tab.shows("first", "second", why="each message should be sent until it is answered")


async def test_a_message_whose_answer_was_lost_is_shown_once(tab):
    tab.network.loses_answers = True
    await tab.send("first")
    await tab.network.loses_an_answer()
    await tab.notes(1, "no answer has reached the page, so its message may not be stored")
    await tab.break_connection()
    await tab.notes(0, "the page is connected again and should know that its message is stored")
    await tab.send("second")
    await tab.shows(
        *("first", "second"),
        why="the first message was stored, and only the answer was lost: it should be sent again "
        "with the number that it had",
    )


async def test_each_page_has_a_name_of_its_own(tab):
    other = Tab(await tab.page.context.new_page(), tab.expect, tab.server)
    await other.open()
    await tab.send("from one tab")
    await tab.shows("from one tab", why="the first tab has sent a message")
    await other.send("from the other")
    for one in (tab, other):
        await one.shows(
            *("from one tab", "from the other"),
            why="each of two tabs has sent its message 1: does each page have another name?",
        )
