"""The `quart` command in a box."""

from harness import apart, outside, processes
from harness.starter import starter


class QuartRun(processes.QuartRun):
    """`quart --app websocket run` in a box, on a free port."""

    def start(self, project, arguments):
        """Start the command."""
        self.project, self.starter = project, starter(project)
        outside.OTHERS.add(int(arguments[-1]))
        self.process, self.control, self.printed = self.starter.start(
            arguments=["quart", *arguments], variables={"QUART_TCP_PORT": ""}
        )

    def page(self):
        """The page at /; where the app does not start, it need not be waited for once more."""
        for (project, _), why in apart.FAILED.items():
            assert project != self.project, why
        return super().page()

    def output(self):
        """What it has printed, and whether it has ended."""
        is_over = not self.printed.take()
        return self.printed.data.decode(errors="replace").strip(), is_over

    def end(self):
        """End it."""
        if self.process:
            self.starter.ask(end=self.process)
            self.printed.close()
            self.control.close()
            self.process = None
