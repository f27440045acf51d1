"""Configurations with random changes give a recipe or a plain error."""

import json
import random

from helpers import upstream_configs
from helpers.mutations import mutate_tree
from helpers.upstream_configs import CLASSES
from splitnest.errors import UsageError
from splitnest.upstream.content import Metadata
from splitnest.upstream.derive import derive


def test_mutated_configurations_give_a_recipe_or_a_plain_error() -> None:
    rng = random.Random(0)
    outcomes, messages = {"recipe": 0, "error": 0}, []
    names = list(upstream_configs.ALL)
    for number in range(200):
        name = names[number % len(names)]
        config = mutate_tree(rng, json.loads(json.dumps(upstream_configs.ALL[name]())))
        if not isinstance(config, dict):  # readers of files return mappings only
            continue
        try:
            derive(config, "mine", "config", Metadata(CLASSES if name.startswith("mmseg") else None))
            outcomes["recipe"] += 1
        except UsageError as error:
            outcomes["error"] += 1
            messages.append(str(error))
    assert not [message for message in messages if "\n" in message]
    assert min(outcomes.values()) > 10, outcomes
