"""``cifarnet search-lambda``: find lambda by trying some."""

from typing import Any

import click

from cifarnet.cli.search import search_options, search_over


@click.command("search-lambda")
@search_options
def search_lambda(**options: Any) -> None:
    """Try values of lambda, coarse and then fine, and rank them by validation accuracy.

    Trials run on --jobs threads, up to four abreast on each (one at a time on several: --threads); the results do not
    depend on that. best.yaml in the run folder is the final training with the best lambda.

    \b
    Examples:
      cifarnet search-lambda coarse --config search
      cifarnet search-lambda fine --from latest
      cifarnet search-lambda coarse --config search --set search.coarse.trials=20 --dry-run
      cifarnet search-lambda --resume latest
    """
    search_over(general=False, **options)
