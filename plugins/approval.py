"""A person's word before a task goes on, where the run asks for it."""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Context

from include.quarry.settings import load_settings

_PATIENCE = timedelta(days=7)


class VersionApproval(ApprovalOperator):
    """Waits in the Airflow UI for Approve or Reject of an index version, if the run's parameter `approval` is set.

    A rejected version is refused: it leaves its route, and what comes after is skipped. No answer for a week is a no.
    """

    template_fields = (*ApprovalOperator.template_fields, "version_id")

    def __init__(self, *, version_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs | {"execution_timeout": None}, response_timeout=_PATIENCE, defaults=self.REJECT)
        self.version_id = version_id

    def execute(self, context: Context) -> Any:
        """Ask, or go on at once."""
        if not context["params"]["approval"]:
            return None
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Take the answer."""
        if event.get("chosen_options") == [self.REJECT]:
            from include.quarry.routing.promotion import refuse  # noqa: PLC0415 heavy

            refuse(self.version_id, "rejected in the Airflow UI", load_settings())
        return super().execute_complete(context, event)
