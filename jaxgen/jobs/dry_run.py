"""``--dry_run``: describes a workload and estimates its training time."""

from jaxgen.engine.learner import num_parameters
from jaxgen.jobs.missing_runs import count_missing, read_execution_plan
from jaxgen.jobs.session import Session
from jaxgen.jobs.train import make_trainer
from jaxgen.jobs.workload import Workload
from jaxgen.runs.jax_settings import fixed_settings
from jaxgen.wording import duration


def describe_workload(workload: Workload, session: Session) -> str:
    """A Markdown table with a row per program; times a few steps, and stores nothing."""
    store = workload.open_store()
    lines = [
        "| program | settings | members | done | parameters | width | MB a device | time, at most |",
        "|" + " --- |" * 8,
    ]
    total = 0.0
    with fixed_settings():
        for program, run_groups in workload.programs:
            trainer = make_trainer(workload.dataset, program, run_groups, session.tell, here=True)
            missing = count_missing(trainer, store)
            at_least_one = {run_group: max(count, 1) for run_group, count in missing.items()}
            trainer.configure(at_least_one, read_execution_plan(trainer, store, program.name))
            trainer.compile_rest()
            seconds = trainer.seconds(missing)
            total += seconds
            members = sum(store.plan.run_groups[run_group] for run_group in trainer.run_groups)
            lines.append(
                f"| {program.name or program.spec.model.model} | {len(program.settings)} | {members:,} | "
                f"{members - sum(missing.values()):,} | {num_parameters(*trainer.layout.example()):,} | "
                f"{trainer.width} | {trainer.ensemble.needed_bytes(trainer.width) / 1e6:,.0f} | {duration(seconds)} |"
            )
    return "\n".join([*lines, "", f"training: {duration(total)} at most; --dry_run: nothing was trained"])
