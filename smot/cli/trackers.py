"""``smot trackers``: what can be evaluated by name."""

import click


@click.command()
def trackers() -> None:
    """List every tracker that can be named, and any plug-in that is broken."""
    from smot.trackers import list_trackers

    rows = list_trackers()
    width = max(len(row.name) for row in rows)
    for row in rows:
        state = f"broken: {row.problem}" if row.problem else row.summary
        click.echo(f"{row.name:<{width}}  {row.origin:<10}  {state}")
