"""POST /v1/feedback: what people think of an answer or a passage."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field, StringConstraints

from include.quarry.catalog.ratings import Rating
from include.quarry.feedback.opinions import Opinions
from include.quarry.gateway.door import Door
from include.quarry.gateway.schema import Body
from include.quarry.gateway.visit import Visit

QueryId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
ChunkId = Annotated[str, StringConstraints(max_length=128, pattern=r"^[0-9a-f]*$")]
Comment = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000, pattern=r"^[^\x00]*$")]


class Feedback(Body):
    """An opinion of an answer or, with `chunk_id`, of one of the passages that were shown for it."""

    query_id: QueryId = Field(description="as the answer gave it")
    rating: Literal[1, -1] = Field(description="1 is good, -1 is bad")
    chunk_id: ChunkId = Field("", description="the passage meant; empty for the answer as a whole")
    comment: Comment = ""


class Kept(BaseModel):
    """The opinion that counts now: the newest of this caller about this query and passage."""

    query_id: str
    rating: int
    chunk_id: str


def feedback_routes(opinions: Opinions, door: Door) -> APIRouter:
    """The route over whoever keeps opinions."""
    router = APIRouter(tags=["feedback"])
    rates = Depends(door.admits("feedback"))

    @router.post("/v1/feedback", summary="Rate an answer or one of its passages")
    async def post_feedback(body: Feedback, visit: Annotated[Visit, rates]) -> Kept:
        caller = visit.caller
        visit.notes.note(about=body.query_id, rating=body.rating)
        rating = Rating(body.rating, body.chunk_id, body.comment)
        within_s = visit.deadline.remaining_s()
        await opinions.rate(body.query_id, caller.tenant, caller.subject, rating, within_s=within_s)
        return Kept(query_id=body.query_id, rating=body.rating, chunk_id=body.chunk_id)

    return router
