"""Write the table of docs/recipes.md: what each recipe does, as `fastdigit.recipes` says.

usage: python bench/recipe_page.py [--page docs/recipes.md]
"""

import argparse
from pathlib import Path

import markers

from fastdigit.cli.recipe_options import described
from fastdigit.recipes import RECIPES
from fastdigit.reporting.tables import markdown_table


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add(
        "--page", type=Path, default=Path("docs/recipes.md"), metavar="MD", help="(docs/recipes.md)"
    )
    return parser.parse_args()


def main():
    options = arguments()
    markers.rewrite(options.page, parts())


def parts():
    """Return the parts of the page."""
    return {"recipes: settings": settings()}


def settings():
    """Return the table of what each recipe does."""
    rows = [
        (name, recipe.about, "-".join(map(str, (784, *recipe.hidden, 10))), recipe.init,
         described(recipe))
        for name, recipe in RECIPES.items()
    ]  # fmt: skip
    return markdown_table(("recipe", "what it is", "network", "init", "training"), rows, False)


if __name__ == "__main__":
    main()
