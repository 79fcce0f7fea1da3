"""`smot train`: train a learned tracker, and take weights out of a run."""

import os
import shlex
from pathlib import Path
from typing import Any

import click

from smot.cli.options import NumberRange, with_options
from smot.models.family import FAMILIES, VARIANTS


class TrainGroup(click.Group):
    """A command for each family of models, then the commands that work on runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Families first."""
        return [*FAMILIES, *VARIANTS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a family is the same for all of them."""
        if cmd_name in (*FAMILIES, *VARIANTS):
            return _family_command(cmd_name)
        return super().get_command(ctx, cmd_name)


@click.group(cls=TrainGroup)
def train() -> None:
    """Train a learned tracker, or export the weights of a run.

    \b
    smot train silot --dataset mnist-6 --preset fast --out runs/a --hours 3
    smot train silot --data data/scattered-mnist-12.h5 --out runs/b
    smot train silot --out runs/a --resume
    smot train export runs/a --out weights.pt
    """  # noqa: D301


@train.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write.")
@click.option("--float32", is_flag=True, help="Keep full precision instead of 8 and 16 bits.")
def export(runs: tuple[Path, ...], out: Path, float32: bool) -> None:
    """Write the weights alone of RUNS: folders, whose best state is taken, or checkpoints.

    Of several that went on from the same weights, the mean of their weights.
    """
    from smot.models.checkpoints import export_weights

    about = export_weights(runs, out, compact=not float32)
    score = "not scored" if about.score is None else f"{about.score_name} {about.score:.3f}"
    size = out.stat().st_size / 2**20
    mean = f"mean of {len(runs)} runs, " if len(runs) > 1 else ""
    click.echo(f"{out}: {mean}{about.family}, step {about.step}, {score}, {size:.1f} MiB")


def _family_command(name: str) -> click.Command:
    @with_options(_OPTIONS)
    def run(**options: Any) -> None:
        _run(name, **options)

    text = f"Train {name.upper()}; --resume goes on with the settings of the run in --out."
    return click.command(name=name, help=text)(run)


_OPTIONS = (
    click.option("--out", required=True, type=click.Path(), help="The run's folder."),
    click.option(
        "--data", type=click.Path(), help="File of videos; without it they are made endlessly."
    ),
    click.option("--dataset", help="Which videos to make: mnist-6, mnist-12, shapes-48, ..."),
    click.option("--preset", help="Where the settings begin, such as original or fast."),
    click.option(
        "--init-from", type=click.Path(), help="Run or checkpoint whose model to start from."
    ),
    click.option("--resume", is_flag=True, help="Go on from the newest state in --out."),
    click.option("--force", is_flag=True, help="Start over in a folder that holds a run."),
    click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a setting: train.lr=1e-3, model.n_slots=8, validation.score=objective.",
    ),
    click.option("--hours", type=NumberRange(min=0), help="Budget [the preset's]; 0 is no limit."),
    click.option(
        "--steps",
        type=click.IntRange(min=0),
        help="Budget in updates [the preset's]; 0 is no limit.",
    ),
    click.option(
        "--seed", type=click.IntRange(0, 2**63 - 1), help="Of weights, videos and noise."
    ),
    click.option("--device", help="cpu, cuda or cuda:N."),
    click.option(
        "--processes",
        type=click.IntRange(min=1),
        help="Processes that share each batch [on a CPU one for each core; resuming keeps it].",
    ),
    click.option(
        "--threads", type=click.IntRange(min=1), default=1, help="Threads of each process."
    ),
    click.option(
        "--digits",
        type=click.Choice(["auto", "mnist", "mnist-5k"]),
        help="Which digits to make videos from.",
    ),
    click.option("--mnist-root", envvar="SMOT_MNIST_ROOT", help="Folder of the full MNIST."),
    click.option("--tensorboard", is_flag=True, help="Write TensorBoard's log too."),
    click.option("--quiet", is_flag=True, help="No progress."),
)


def _run(
    name: str,
    *,
    out: str,
    resume: bool,
    force: bool,
    threads: int,
    tensorboard: bool,
    quiet: bool,
    **choices: Any,
) -> None:
    from smot.experiments.plans import Request, resolve
    from smot.experiments.recipes import asks_for_recipe, run_recipe
    from smot.experiments.runs import RunOptions, launch

    family = VARIANTS.get(name, name)
    request = Request(family=family, recipe=name, out=out, resume=resume, **choices)
    options = RunOptions(
        out=out,
        resume=resume,
        force=force,
        quiet=quiet,
        tensorboard=tensorboard,
        n_threads=threads,
    )
    first = os.environ.get("RANK", "0") == "0"  # under torchrun every process comes by here

    def notice(line: str) -> None:
        if first and not quiet:
            click.echo(line, err=True)

    if asks_for_recipe(request):
        outcome, score_name = run_recipe(request, options, notice)
    else:
        plan, notices = resolve(request)
        for line in notices:
            notice(line)
        outcome, score_name = launch(plan, options), plan.validation.score
    score = "not scored"
    if outcome.score is not None:
        score = f"{score_name} {outcome.score:.3f} at step {outcome.best_step}"
    if outcome.stopped:
        if outcome.leads:
            click.echo(
                f"smot: stopped at step {outcome.step}, {outcome.hours:.2f} h, best {score}; "
                f"to go on: smot train {name} --out {shlex.quote(out)} --resume",
                err=True,
            )
        click.get_current_context().exit(130)
    if outcome.leads:
        click.echo(f"{outcome.folder}: {outcome.step} steps, {outcome.hours:.2f} h, best {score}")
