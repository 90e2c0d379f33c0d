"""What is looked for: the `decontaminate` of a recipe, or a YAML file that holds this field alone."""

from pipeline import recipe
from pipeline.recipe import RecipeError
from pipeline.recipe_parts import Decontaminate, Model


class Sets(Model):
    """A YAML file of evaluation sets."""

    decontaminate: Decontaminate


def load(path: str) -> Decontaminate:
    """What the file asks for, checked as a recipe is; `RecipeError` where it cannot be followed. A recipe's `action` is
    left aside: nothing is taken out of a finished mix."""
    fields = recipe.read(path)
    if not (isinstance(fields, dict) and "sources" in fields):
        return recipe.check_as(Sets, fields, path, "decontaminate: {sets: …}").decontaminate
    asked = recipe.check(fields, path).decontaminate
    if asked is None:
        raise RecipeError(f"{path}: decontaminate is missing; this recipe names no evaluation sets to look for")
    return asked
