"""Whether published weights can be used: they are in the cache, or can be downloaded."""

from urllib.error import HTTPError

from splitnest import urls
from splitnest.recipe import Recipe
from splitnest.weights.fetch import file_name, weights_folder

MAX_WAIT_S = 10.0
"""Time that servers may take to answer, in seconds."""


def is_available(recipe: Recipe) -> bool:
    """Return whether the published weights of a recipe are in the cache or on a server; nothing is downloaded."""
    if recipe.weights is None:
        return False
    if (weights_folder() / file_name(recipe.weights.url)).is_file():
        return True
    return any(_answers(url) for url in (recipe.weights.url, *recipe.weights.mirrors))


def _answers(url: str) -> bool:
    try:
        with urls.opened(url, urls.Deadline(MAX_WAIT_S), {"Range": "bytes=0-0"}):
            return True
    except HTTPError as error:
        return error.code == 416
    except (urls.RequestError, urls.LostError):
        return False
