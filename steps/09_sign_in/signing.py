"""The routes by which people sign in, sign out and get tickets."""

import os
import secrets
from hmac import compare_digest
from unicodedata import normalize

from quart import Blueprint, abort, redirect, render_template, request, session, url_for

from doors import TokenBucket
from people import is_name

LIMITED = ("signing.sign_in", "signing.ticket")  # but everyone can always sign out


def class_word():
    """The word that everyone needs to sign in: the setting, or a new one, which is printed."""
    if word := os.environ.get("QUART_CLASS_WORD"):  # in app.config, 1e3 would be a number
        return word
    word = secrets.token_hex(3)
    print("The class word is", word)
    return word


def signing(people, word, rate):
    """A blueprint: routes that an app registers together."""
    routes, posts = Blueprint("signing", __name__), TokenBucket(rate)

    @routes.before_request
    async def check():
        if request.endpoint in LIMITED and not posts.take():  # or one could try all words
            return "Too many people sign in right now: try again.\n", 429

    @routes.get("/sign-in")
    async def form():
        return await render_template("sign_in.html")

    @routes.post("/sign-in")
    async def sign_in():
        form = await request.form
        name = " ".join(normalize("NFKC", form.get("name", "")).split())
        problem, status = "That name is taken.", 409
        if not compare_digest(form.get("word", "").encode(), word.encode()):
            problem, status = "That isn't the class word.", 403
        elif not is_name(name):
            problem, status = "A name has up to 30 letters, digits, spaces, dots and hyphens.", 400
        else:
            if earlier := await people.asking():  # one browser is one person
                await people.sign_out(earlier)
            if person := await people.sign_in(name):
                session["person"], session.permanent = person, True
                return redirect(url_for("index"), 303)
        return await render_template("sign_in.html", name=name, problem=problem), status

    @routes.post("/sign-out")
    async def sign_out():
        if person := await people.asking():
            await people.sign_out(person)
        session.clear()
        return redirect(url_for("signing.form"), 303)

    @routes.app_errorhandler(401)
    async def unauthorized(_):
        return "Sign in first, or show a ticket.\n", 401, {"WWW-Authenticate": "Bearer"}

    @routes.post("/api/v3/tickets")
    async def ticket():
        person = await people.asking() or abort(401)
        return await people.ticket(person), 201, {"Cache-Control": "no-store"}

    return routes
