"""Functions of ``mmseg.utils`` that scripts call first."""


def register_all_modules(init_default_scope: bool = True) -> None:
    """Do nothing: there is no registry."""
