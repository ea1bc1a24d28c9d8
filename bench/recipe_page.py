"""Write the tables of docs/recipes.md: what each recipe does, and what it was measured to reach.

usage: python bench/recipe_page.py [--page docs/recipes.md]
"""

import argparse
import json
from pathlib import Path

import markers
import time_to_accuracy

from fastdigit.cli.recipe_options import described
from fastdigit.recipes import RECIPES
from fastdigit.reporting.tables import markdown_table

RESULTS = Path(__file__).parents[1] / "reports" / "time-to-accuracy" / "results.json"


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
    return {"recipes: settings": settings(), "recipes: measured": measured()}


def settings():
    """Return the table of what each recipe does."""
    rows = [
        (name, recipe.about, "-".join(map(str, (784, *recipe.hidden, 10))), recipe.init,
         described(recipe))
        for name, recipe in RECIPES.items()
    ]  # fmt: skip
    return markdown_table(("recipe", "what it is", "network", "init", "training"), rows, False)


def measured():
    """Return the table of what was reached, and on what."""
    document = json.loads(RESULTS.read_text("utf-8"))
    question = next(q for q in document["questions"] if q["name"] == "recipes")
    contenders = {contender["name"]: contender for contender in question["contenders"]}
    machine = document["machine"]
    facts = [
        f"{machine['date'][:10]}",
        machine["cpu"]["model"],
        f"{document['settings']['threads']} threads",
        *([question["busy"]] if question["busy"] else []),
    ]
    table = markdown_table(*time_to_accuracy.recipe_rows(contenders))
    return f"{table}\n\n{'; '.join(facts)}."


if __name__ == "__main__":
    main()
