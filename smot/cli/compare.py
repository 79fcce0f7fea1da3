"""`smot compare`: several results side by side, printed, as a page, and for papers."""

from pathlib import Path

import click

from smot.cli.options import OutputFile


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--report", type=OutputFile(".html"), help="HTML file with the curves.")
@click.option(
    "--figure", type=OutputFile(".pdf", ".svg", ".png"), help="Curves for a paper: PDF, SVG, PNG."
)
@click.option(
    "--columns",
    type=click.Choice(["1", "2"]),
    default="1",
    help="Of a paper's page that the figure is wide.",
)
@click.option(
    "--table", type=OutputFile(".tex", ".md", ".csv"), help="Table: LaTeX, Markdown, CSV."
)
@click.option(
    "--leaderboard",
    type=OutputFile(".md"),
    help="Page to enter the results into, one row each; others in it stay.",
)
@click.option(
    "--metric",
    "metrics",
    default="mota",
    metavar="NAME,...",
    help="Of figure and table, such as mota,ap,prediction.mota.",
)
@click.option(
    "--allow-different-data",
    is_flag=True,
    help="Compare results of different videos; the report says so on each curve.",
)
def compare(
    results: tuple[Path, ...],
    report: Path | None,
    figure: Path | None,
    columns: str,
    table: Path | None,
    leaderboard: Path | None,
    metrics: str,
    allow_different_data: bool,
) -> None:
    """Put several RESULTS (files results.json, or their folders) on one set of curves.

    A folder of folders with results, one for each seed of a system, is one curve: their mean,
    with an interval over seeds.

    \b
    smot compare results/conncomp results/silot --report comparison.html
    smot compare results/* --figure curves.pdf --columns 2 --metric mota,prediction.mota
    smot compare results/* --table scores.tex --metric mota,idf1
    smot compare results/mine --leaderboard docs/leaderboard.md
    """  # noqa: D301
    from smot.evaluation.report.compare import comparison_table, line_up, render_comparison
    from smot.evaluation.report.leaderboard import update_leaderboard
    from smot.evaluation.report.papers import read_quantity, write_figure, write_table
    from smot.evaluation.seeds import read_system
    from smot.files import write_text

    chosen = metrics.split(",")
    for each in chosen:
        read_quantity(each)
    found = {path: read_system(path) for path in results}
    files = {(path / "results.json" if path.is_dir() else path).resolve() for path in results}
    if len(files) < len(results):
        raise click.UsageError("the same results are named twice")
    if leaderboard is not None:
        update_leaderboard(leaderboard, list(found.values()))
        click.echo(f"smot: {leaderboard} written", err=True)
        if len(found) == 1 and not any((report, figure, table)):
            return
    entries = line_up(found, allow_different_data=allow_different_data)
    for entry in entries:
        if entry.difference:
            click.echo(f"smot: {entry.label}: {entry.difference}", err=True)
    click.echo(comparison_table(entries))
    if report is not None:
        write_text(report, render_comparison(entries))
    if figure is not None:
        curves = {each.label: each.results for each in entries}
        write_figure(figure, curves, chosen, columns=int(columns))
    if table is not None:
        write_table(table, entries, chosen)
    for path in filter(None, (report, figure, table)):
        click.echo(f"smot: {path} written", err=True)
