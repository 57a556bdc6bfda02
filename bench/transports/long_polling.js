// Call show() with each message.
async function receive(show) {
  let last = 0;
  while (true) {
    // Or tabs that ask for the same wait for each other's answer, which they might share.
    const response = await fetch(`/messages?after=${last}`, { cache: "no-store" });
    for (const [number, text] of await response.json()) {
      last = number;
      show(text);
    }
  }
}
