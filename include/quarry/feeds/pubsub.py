"""The Pub/Sub feed: a subscription with message ordering, pulled one handful at a time and acknowledged afterwards.

Pub/Sub has no offsets: it forgets what is acknowledged, and may send again what it was not told of, or was told of too
late; then it sends all that followed under the same ordering key again, acknowledged or not. So the catalog remembers
the names of the messages that it accepted, in the transaction that accepts them, and passes over those it has.

Once: a name is unique in its topic, is noted together with what the message says, and is kept for longer than Pub/Sub
can keep a message. In order: Pub/Sub sends a message only when all before it under its key were acknowledged, or stand
before it in the same answer; what was acknowledged is in the catalog, and an answer is accepted in order, its parts one
after the other. So whatever lapses and whoever else gets it, nothing is accepted before what came before it.

What the catalog did not take is not given back (nack): it stays in hand, its lease is extended, and it is offered
again. Else a catalog that is away for some seconds would use up the delivery attempts of a dead-letter policy, and good
messages would go where nobody reads them. For our own sake no such policy is needed: what cannot be understood is set
aside with its bytes and acknowledged like the rest. A reader that dies lets go within `_LEASE_S`.
"""

import base64
import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, timedelta
from typing import Any

import grpc
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import PullRequest, ReceivedMessage, SubscriberClient

from include.quarry.errors import InvalidInput, Misconfigured, QuarryError, Unavailable
from include.quarry.feeds.messages import Format, MessageReader
from include.quarry.feeds.protocol import Batch, Change, Garbled, Message, OffsetOf
from include.quarry.feeds.rows import RowMapping
from include.quarry.records import STREAM_FEEDS, DocumentKey

logger = logging.getLogger(__name__)
_GARBLED_TENANT = "default"
_MAX_MESSAGES = 1000  # so many leases are extended in one request
_KEPT = timedelta(days=32)  # no subscription and no topic keeps a message for more than 31
_LEASE_S = 20
_EXTEND_EVERY_S = 5.0  # the shortest first lease that a subscription can have is 10 s
_LONGEST_HOLD_S = 600.0  # of a reader that hangs
_ANSWER_S = 10.0
_POLL_S = 60.0
_WRONG = (
    exceptions.NotFound,
    exceptions.FailedPrecondition,
    exceptions.InvalidArgument,
    exceptions.PermissionDenied,
    exceptions.Unauthenticated,
)


class PubSubFeed:
    """See `ChangeFeed`. Its one partition is the subscription, whose offset says how old the newest message was.

    Messages in hand are given until they are accepted, and no others. Credentials are the SDK's own affair, and so is
    `PUBSUB_EMULATOR_HOST`. Several readers share a subscription.
    """

    def __init__(
        self,
        project: str,
        subscription: str,
        *,
        corpus: str,
        format: Format = "event",
        mapping: RowMapping | None = None,
    ) -> None:
        """Raises `Misconfigured` where there are no credentials, and for envelopes without a mapping."""
        self._project = project
        self._subscription = subscription
        self._path = SubscriberClient.subscription_path(project, subscription)
        self._corpus = corpus
        self._reader = MessageReader(format, corpus, mapping)
        self._checked = False
        self._asked: grpc.Future | None = None
        self._hand: Sequence[ReceivedMessage] = ()
        self._given = 0
        self._given_at = 0.0
        self._closed = threading.Event()
        try:
            self._client = SubscriberClient()
        except GoogleAuthError as error:
            raise Misconfigured(f"subscription {self._path} cannot be opened: {error}") from error
        self._transport: Any = self._client.transport  # its calls can be left open, unlike the client's
        threading.Thread(target=self._keep, name=f"leases-{subscription}", daemon=True).start()

    @property
    def name(self) -> str:
        return f"{STREAM_FEEDS}pubsub:{self._project}:{self._subscription}"

    def pull(self, offset_of: OffsetOf, *, limit: int, wait_s: float) -> list[Batch]:
        try:
            if not self._checked:
                self._check()
            if not self._hand:
                self._hand = self._fetch(limit, wait_s)
        except exceptions.GoogleAPICallError as error:
            raise self._named(error) from error
        self._given, self._given_at = min(limit, len(self._hand)), time.monotonic()
        return [self._batch(self._hand[: self._given])] if self._given else []

    def accepted(self, partition: str, offset: str) -> None:
        done, self._hand, self._given = self._hand[: self._given], self._hand[self._given :], 0
        with suppress(exceptions.GoogleAPICallError):  # else they come again, and are passed over
            ids = [received.ack_id for received in done]
            self._client.acknowledge(subscription=self._path, ack_ids=ids, retry=None, timeout=_ANSWER_S)

    def rewind(self, partition: str) -> None:
        """Nothing is to be done: what was given is still in hand, and given next."""

    def lag(self) -> dict[str, int]:
        """Not known here; Cloud Monitoring has it as `subscription/num_undelivered_messages`."""
        return {}

    def close(self) -> None:
        self._closed.set()
        self._transport.close()

    def _fetch(self, limit: int, wait_s: float) -> Sequence[ReceivedMessage]:
        """What came. A question that was not answered in time stays open, since an answer that finds nobody there is
        leased to nobody."""
        if self._asked is None:
            request = PullRequest(subscription=self._path, max_messages=min(limit, _MAX_MESSAGES))
            routing = (("x-goog-request-params", f"subscription={self._path}"),)
            self._asked = self._transport.pull.future(request, timeout=_POLL_S, metadata=routing)
        try:
            answer = self._asked.result(timeout=wait_s)
        except grpc.FutureTimeoutError:
            return ()
        except grpc.RpcError as error:
            self._asked = None
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                return ()
            raise exceptions.from_grpc_error(error) from error  # type: ignore[no-untyped-call]
        self._asked = None
        return list(answer.received_messages)

    def _batch(self, given: Sequence[ReceivedMessage]) -> Batch:
        changes: list[Change] = []
        messages: list[Message] = []
        for received in given:
            change = self._change(received)
            if change is not None:
                changes.append(change)
                messages.append(Message(received.message.message_id, received.message.publish_time + _KEPT))
        newest = max(received.message.publish_time for received in given)
        return Batch(self._subscription, None, changes, newest.astimezone(UTC).isoformat(), messages)

    def _change(self, received: ReceivedMessage) -> Change | None:
        message = received.message
        try:
            if not message.ordering_key:
                raise InvalidInput(
                    "the message has no ordering key, so an older change of its document could overtake it; publish "
                    "with one, such as tenant/doc_id"
                )
            return self._reader.read(message.data, None)
        except InvalidInput as error:
            place = f"{self._subscription}/{message.message_id}"
            key = DocumentKey(self._corpus, _GARBLED_TENANT, place)
            detail = {"key": base64.b64encode(message.ordering_key.encode()).decode(), "tombstone": False}
            uri = f"pubsub://{self._project}/{place}"
            return Garbled(key, uri, f"{error.title}: {error}", message.data, "message", detail)

    def _check(self) -> None:
        """Refuse a subscription that keeps no order; one that may not be looked at is trusted."""
        try:
            found = self._client.get_subscription(subscription=self._path, retry=None, timeout=_ANSWER_S)
        except exceptions.PermissionDenied:
            logger.warning("%s may not be looked at (pubsub.subscriptions.get); it must keep order", self._path)
        else:
            if not found.enable_message_ordering:
                raise Misconfigured(
                    f"{self._path} keeps no order, so an older change could overtake a newer one; make a subscription "
                    "with message ordering (it cannot be switched on later)"
                )
            if found.dead_letter_policy.dead_letter_topic:
                logger.warning("%s has a dead-letter policy: what it sends on, nobody takes in", self._path)
        self._checked = True

    def _keep(self) -> None:
        """Extend the leases of what is in hand, as long as somebody works on it."""
        while not self._closed.wait(_EXTEND_EVERY_S):
            ids = [received.ack_id for received in self._hand]
            if ids and time.monotonic() < self._given_at + _LONGEST_HOLD_S:
                with suppress(exceptions.GoogleAPICallError, ValueError):  # what lapses comes again, and is passed over
                    self._client.modify_ack_deadline(
                        subscription=self._path,
                        ack_ids=ids,
                        ack_deadline_seconds=_LEASE_S,
                        retry=None,
                        timeout=_ANSWER_S,
                    )

    def _named(self, error: exceptions.GoogleAPICallError) -> QuarryError:
        if isinstance(error, _WRONG):
            return Misconfigured(f"{self._path} cannot be read: {error.message}; check its name, and who may use it")
        return Unavailable(f"Pub/Sub does not answer for {self._path}: {error.message}")
