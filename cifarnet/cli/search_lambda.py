"""``cifarnet search-lambda``: find lambda by trying some."""

from typing import Any

import click

from cifarnet.cli.search import search_options, search_over


@click.command("search-lambda")
@search_options
def search_lambda(**options: Any) -> None:
    """Try values of lambda, coarse and then fine, and rank them by validation accuracy.

    Trials run in --jobs groups, each on one thread and up to four abreast, or with --threads alone on so many; the
    results do not depend on the jobs. best.yaml in the run folder is the final training with the best lambda.

    \b
    Examples:
      cifarnet search-lambda coarse --config search
      cifarnet search-lambda fine --from latest
      cifarnet search-lambda coarse --config search --set search.coarse.trials=20 --dry-run
      cifarnet search-lambda --resume latest
    """
    search_over(general=False, **options)
