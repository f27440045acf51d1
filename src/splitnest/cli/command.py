"""Commands and their group, which explain options and commands of other tools."""

from difflib import get_close_matches
from typing import Any

from typer.core import TyperCommand, TyperGroup

from splitnest.errors import UsageError

COMMANDS = {
    **dict.fromkeys(("val", "validate", "test", "evaluate"), "eval"),
    **dict.fromkeys(("detect", "infer", "inference", "segment", "classify", "prediction"), "predict"),
    **dict.fromkeys(("fit", "finetune", "fine-tune", "resume"), "train"),
    **dict.fromkeys(("models", "zoo", "ls", "search"), "list"),
    **dict.fromkeys(("show", "summary", "describe"), "info"),
    **dict.fromkeys(("benchmark", "speed"), "bench"),
    **dict.fromkeys(("gradcam", "cam", "heatmap"), "explain"),
    **dict.fromkeys(("check", "dataset", "datasets"), "data check"),
    **dict.fromkeys(("download", "fetch", "get"), "weights get"),
    **dict.fromkeys(("upload", "publish"), "push"),
    **dict.fromkeys(("cache", "checkpoints"), "weights list"),
    **dict.fromkeys(("env", "checks", "collect-env"), "doctor"),
    **dict.fromkeys(("server", "deploy", "api", "start"), "serve"),
    **dict.fromkeys(("version", "-v", "-V"), "--version"),
    "help": "--help",
}
"""Command of other tools -> command or option here."""


class Command(TyperCommand):
    """Command that says how to write what is an option in other tools: a recipe's key, an argument, another option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments of the command line.

        Raises:
            UsageError: An option does not exist, or an argument was written as one.
        """
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if "--model" in given and type(error).__name__ == "MissingParameter":
                missing = error.param  # type: ignore[attr-defined]
                raise UsageError(
                    f"{missing.metavar or missing.name.upper()} is missing. MODEL is an argument: write it without "
                    f"--model, which names the model of a checkpoint that is the argument. See --help."
                ) from error
            option = getattr(error, "option_name", None)
            if type(error).__name__ != "NoSuchOption" or option is None:  # typer does not export the class
                raise
            raise UsageError(self._explain(ctx, str(option), given)) from error

    def _explain(self, ctx: Any, option: str, args: list[str]) -> str:
        from splitnest.recipe.aliases import OPTION, known_as
        from splitnest.recipe.overrides import known_keys
        from splitnest.recipe.schema import RECIPE_CLASSES

        name, value = option.lstrip("-"), _value_after(option, args)
        problem = f"{ctx.command_path} has no option {option}."
        options = [text for param in self.params if param.param_type_name == "option" for text in param.opts]
        arguments = {
            spelling: param.metavar or param.name.upper()
            for param in self.params
            if param.param_type_name == "argument"
            for spelling in (param.name, (param.metavar or "").strip("[].").lower())
        }
        keys = dict.fromkeys(key for cls in RECIPE_CLASSES.values() for key in known_keys(cls))
        known = [name] if name in keys else known_as(name, keys)
        if name in arguments:
            return f"{problem} {arguments[name]} is an argument: write it without --{name}. See --help."
        if replacement := [key.removeprefix(OPTION.removesuffix("--")) for key in known if key.startswith(OPTION)]:
            return f"{problem} Use {replacement[0]}." if replacement[0] in options else f"{problem} See --help."
        if longer := [text for text in options if text.startswith(option)]:
            return f"{problem} Use {' or '.join(longer)}."
        if known and any(param.name == "overrides" for param in self.params):
            return f"{problem} It is a key of the recipe: write {' or '.join(f'{key}={value}' for key in known)}."
        if known:
            return (
                f"{problem} It is a key of the recipe ({' or '.join(known)}): write a recipe (.yaml) with it, and give "
                f"that as the model."
            )
        if close := get_close_matches(option, options, n=1, cutoff=0.75):
            return f"{problem} Use {close[0]}."
        return f"{problem} Its options are {', '.join(options)}."


class Group(TyperGroup):
    """Group of commands that names the command for one that is called otherwise in other tools."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command of the first argument.

        Raises:
            UsageError: The command does not exist.
        """
        name = args[0]
        names = self.list_commands(ctx)
        if name in names or name.startswith("-"):
            return super().resolve_command(ctx, args)
        known = {command: command for command in names} | (COMMANDS if ctx.parent is None else {})
        if close := get_close_matches(name.lower(), known, n=1):
            raise UsageError(f"There is no command {name!r}. Use '{ctx.command_path} {known[close[0]]}'.")
        raise UsageError(f"There is no command {name!r}. '{ctx.command_path}' has {', '.join(names)}.")


class DefaultGroup(Group):
    """Group of commands whose first one, ``run``, is called without its name."""

    default = "run"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; those that begin with neither a command nor a request for help are of the first one."""
        is_help = bool(args) and args[0] in self.get_help_option_names(ctx)
        if args and not is_help and args[0] not in self.list_commands(ctx):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


def _value_after(option: str, args: list[str]) -> str:
    """Return the value that was given to an option, as ``--option value`` or ``--option=value``; else ``VALUE``."""
    for index, argument in enumerate(args):
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
        if argument == option and index + 1 < len(args) and not args[index + 1].startswith("-"):
            return args[index + 1]
    return "VALUE"
