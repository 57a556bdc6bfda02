"""Who is signed in: sessions and one-time tickets, which end on every server at once."""

import asyncio
import json
import logging
import re
import secrets
from typing import NamedTuple
from unicodedata import category
from weakref import WeakValueDictionary

from quart import has_request_context, request, session, websocket
from quart.sessions import SecureCookieSessionInterface

from doors import Goodbye
from log import LogAway

logger = logging.getLogger(__name__)
NAME = re.compile("[LN][LMN ]{0,29}")  # kinds of characters: letters, marks on them, digits
TICKET = 30  # seconds in which a ticket has to be used
LOOK = 0.2  # seconds between two looks at who is still signed in


def asked():
    """The request or the handshake that is being answered."""
    return request if has_request_context() else websocket


def is_name(text):
    """Whether a text can be a person's name, in any language."""
    kinds = [" " if character in " .-_" else category(character)[0] for character in text]
    return bool(NAME.fullmatch("".join(kinds)))


class Sessions(SecureCookieSessionInterface):
    """Signed cookies that scripts can't read, and that requests from other sites don't carry."""

    def get_cookie_httponly(self, app):
        return True

    def get_cookie_samesite(self, app):
        return "Lax"

    def get_cookie_secure(self, app):
        return asked().is_secure  # if it came over TLS, browsers never send it without

    def should_set_cookie(self, app, session):
        return session.modified  # a session ends at its time, however much it is used


class Person(NamedTuple):
    """A name, and the secret of one sign-in with it."""

    name: str
    key: str

    @property
    def place(self):
        """Where the store has the key: names that differ only in case are the same."""
        return f"person:{self.name.casefold()}"


class People:
    """Who is signed in, in a store that all servers share."""

    def __init__(self, store, seconds):
        self.store, self.seconds = store, seconds
        self.connected = WeakValueDictionary()  # a person, and the event of being signed out

    async def sign_in(self, name):
        """Sign in a person for some time; returns None if the name is taken."""
        person = Person(name, secrets.token_hex(8))
        is_free = await self.store.add(person.place, person.key, self.seconds)
        return person if is_free else None

    async def asking(self):
        """The person who asks, by a session or, in a handshake, by a ticket; or None."""
        person, ticket = session.get("person"), asked().authorization
        if ticket and ticket.type == "bearer" and asked() is websocket:
            person = await self.spend(ticket.token)
        if person and all(await self.are_in(Person(*person))):
            return Person(*person)

    async def are_in(self, *people):
        """Whether each of some people is still signed in."""
        keys = await self.store.get(*[person.place for person in people])
        return [key == person.key for key, person in zip(keys, people, strict=True)]

    async def sign_out(self, person):
        # Only this sign-in: somebody else may have the name by now.
        await self.store.remove(person.place, person.key)

    async def ticket(self, person):
        """A ticket with which a client can connect once, as this person."""
        ticket = secrets.token_urlsafe(16)
        await self.store.add(f"ticket:{ticket}", json.dumps(person), TICKET)
        return ticket

    async def spend(self, ticket):
        """The person whose ticket this is, or None if it is unknown, too old or used."""
        person = await self.store.pop(f"ticket:{ticket}")
        return person and Person(*json.loads(person))

    async def until_signed_out(self, person):
        """End a connection when its person is signed out, on whichever server that was."""
        signed_out = self.connected.setdefault(person, asyncio.Event())
        await signed_out.wait()
        raise Goodbye(3000, "You are signed out.")

    async def running(self):
        looking = asyncio.create_task(self._looking())
        yield
        looking.cancel()

    async def _looking(self):
        while True:
            await asyncio.sleep(LOOK)
            people = list(self.connected)
            try:
                are_in = await self.are_in(*people)
            except LogAway:
                continue  # the log closes all connections anyway
            except Exception:
                logger.exception("Who is still signed in is not known.")
                continue
            for person, is_in in zip(people, are_in, strict=True):
                if not is_in and person in self.connected:
                    self.connected[person].set()
