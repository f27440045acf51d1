"""Directive ``code-cell`` of MyST notebooks: code that is shown; ``make tutorials`` runs it."""

from typing import Any

from sphinx.directives.code import CodeBlock


class CodeCell(CodeBlock):
    """Code cell, shown as a block of its language."""

    required_arguments = 1

    def run(self) -> list[Any]:
        """Return the block; lines of the shell that begin with ``!`` are no errors of highlighting."""
        self.options["force"] = True
        return super().run()


def setup(app: Any) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("code-cell", CodeCell)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
