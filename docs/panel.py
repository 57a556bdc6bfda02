"""What a browser's network panel and its console show of a page's WebSockets.

A browser without a window has no panel. So its content is drawn from the events that the panel
itself is made from: those of the Chrome DevTools Protocol.
"""

import html
import re
from urllib.parse import urlsplit

LISTEN = """
ws.addEventListener("close", (event) => console.log(event.code, event.reason))
"""
PAGE = """
<!doctype html><html lang="en"><title>The network panel</title>
<style>
  body { font: 15px/1.5 sans-serif; margin: 0; padding: 12px 16px; color: #1f2328 }
  h1, h2 { font-size: 15px; margin: 0; padding: 4px 8px; background: #e7ebf0 }
  h2:not(.head) { background: #f3f5f8; font-weight: normal; border-top: 1px solid #d0d7de }
  p { margin: 0; padding: 2px 8px; border-top: 1px solid #e7ebf0; font-family: monospace }
  p::before { content: attr(data-way); display: inline-block; width: 24px }
  .sent::before { color: #116329 } .received::before { color: #a40e26 }
  section + section { margin-top: 12px }
</style>
<section><h1>Network: WebSockets and their messages</h1>NETWORK</section>
<section><h2 class="head">Console</h2>CONSOLE</section>
"""
WAYS = {"sent": "↑", "received": "↓"}


class Panel:
    """Notes what happens to the WebSockets of a page, from now on."""

    def __init__(self):
        self.sockets, self.console = {}, []  # of each socket: its address, its status, its frames

    async def watch(self, page):
        """Begin to note what a page does."""
        session = await page.context.new_cdp_session(page)
        await session.send("Network.enable")
        session.on("Network.webSocketCreated", self._created)
        session.on("Network.webSocketHandshakeResponseReceived", self._answered)
        for way in WAYS:
            event = f"Network.webSocketFrame{way.capitalize()}"
            session.on(event, lambda event, way=way: self._passed(event, way))
        page.on("console", lambda message: self.console.append(message.text))

    def _created(self, event):
        address = urlsplit(event["url"])
        path = f"{address.path}?{address.query}" if address.query else address.path
        self.sockets[event["requestId"]] = [path, "", []]

    def _answered(self, event):
        self.sockets[event["requestId"]][1] = str(event["response"]["status"])

    def _passed(self, event, way):
        self.sockets[event["requestId"]][2].append((way, event["response"]["payloadData"]))

    def frames(self, way="received"):
        """What was sent or received, in order."""
        return [
            data for *_, frames in self.sockets.values() for each, data in frames if each == way
        ]

    def page(self):
        """What is shown, as a page."""
        network = ""
        for path, status, frames in self.sockets.values():
            network += f"<h2>{html.escape(path)}, status {status}</h2>"
            for way, data in frames:
                words = html.escape(data) or "(empty)"
                network += f'<p class="{way}" data-way="{WAYS[way]}">{words}</p>'
        console = "".join(
            f'<p data-way="">{html.escape(line.strip())}</p>' for line in self.console
        )
        page = PAGE.replace("NETWORK", network).replace("CONSOLE", console)
        # The name of the log differs from run to run.
        return re.sub(r"((?:&quot;log&quot;: &quot;|log=))[0-9a-f]{8}\b", r"\g<1>c0ffee42", page)
