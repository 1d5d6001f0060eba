"""Pub/Sub in this process, as far as the documented API promises anything about pulling: leases, order under a key,
redelivery of all that followed, dead letters. Google's emulator takes its place where `PUBSUB_EMULATOR_HOST` is set.
"""

import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc
import proto
import pytest
from google.protobuf import empty_pb2
from google.pubsub_v1 import types

from tests.conftest import free_port

_POLL_S = 30.0


@dataclass
class Sent:
    """A message as one subscription has it."""

    message: types.PubsubMessage
    deliveries: int = 0
    leased_until: float = 0.0
    acknowledged: bool = False

    @property
    def ack_id(self) -> str:
        return f"{self.message.message_id}:{self.deliveries}"


class PubSubServer:
    """The services Publisher and Subscriber at one address; what was sent survives `stop` and `start`."""

    def __init__(self) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.subscriptions: dict[str, types.Subscription] = {}
        self.sent: dict[str, list[Sent]] = {}
        self.dead_letters: list[types.PubsubMessage] = []
        self.loses_acknowledgements = False
        self.extensions = 0
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)
        self._server: grpc.Server | None = None
        self.start()

    def start(self) -> None:
        self._server = grpc.server(ThreadPoolExecutor(16))
        for service, methods in (("Publisher", self._publisher()), ("Subscriber", self._subscriber())):
            handler = grpc.method_handlers_generic_handler(f"google.pubsub.v1.{service}", methods)
            self._server.add_generic_rpc_handlers((handler,))
        assert self._server.add_insecure_port(self.address)
        self._server.start()

    def stop(self) -> None:
        assert self._server is not None
        self._server.stop(None).wait()

    def lapse(self) -> None:
        """All leases end, as if their time had passed."""
        with self._changed:
            for sent in itertools.chain(*self.sent.values()):
                sent.leased_until = 0.0
            self._changed.notify_all()

    def outstanding(self, subscription: str) -> int:
        """Messages that are not acknowledged."""
        with self._changed:
            return sum(not sent.acknowledged for sent in self.sent[subscription])

    def _publisher(self) -> dict[str, grpc.RpcMethodHandler]:
        return {
            "CreateTopic": _method(lambda topic, _: topic, types.Topic, types.Topic),
            "Publish": _method(self._publish, types.PublishRequest, types.PublishResponse),
        }

    def _subscriber(self) -> dict[str, grpc.RpcMethodHandler]:
        return {
            "CreateSubscription": _method(self._subscribe, types.Subscription, types.Subscription),
            "GetSubscription": _method(self._get, types.GetSubscriptionRequest, types.Subscription),
            "Pull": _method(self._pull, types.PullRequest, types.PullResponse),
            "Acknowledge": _method(self._acknowledge, types.AcknowledgeRequest, None),
            "ModifyAckDeadline": _method(self._modify, types.ModifyAckDeadlineRequest, None),
        }

    def _publish(self, request: types.PublishRequest, _context: grpc.ServicerContext) -> types.PublishResponse:
        names = []
        with self._changed:
            for message in request.messages:
                message.message_id, message.publish_time = str(next(self._numbers)), datetime.now(UTC)
                names.append(message.message_id)
                for subscription in self.subscriptions.values():
                    if subscription.topic == request.topic:
                        self.sent[subscription.name].append(Sent(message))
            self._changed.notify_all()
        return types.PublishResponse(message_ids=names)

    def _subscribe(self, subscription: types.Subscription, _context: grpc.ServicerContext) -> types.Subscription:
        with self._changed:
            self.subscriptions[subscription.name] = subscription
            self.sent[subscription.name] = []
        return subscription

    def _get(self, request: types.GetSubscriptionRequest, context: grpc.ServicerContext) -> types.Subscription:
        return self._find(request.subscription, context)

    def _find(self, name: str, context: grpc.ServicerContext) -> types.Subscription:
        if name not in self.subscriptions:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Resource not found (resource={name}).")
        return self.subscriptions[name]

    def _pull(self, request: types.PullRequest, context: grpc.ServicerContext) -> types.PullResponse:
        subscription = self._find(request.subscription, context)
        context.add_callback(self._wake)
        give_up_at = time.monotonic() + _POLL_S
        with self._changed:
            while context.is_active() and time.monotonic() < give_up_at:
                found = list(itertools.islice(self._due(subscription), request.max_messages))
                if found:
                    return types.PullResponse(received_messages=[self._deliver(subscription, sent) for sent in found])
                self._changed.wait(0.2)  # leases end while nothing is sent
        return types.PullResponse()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _due(self, subscription: types.Subscription) -> Iterator[Sent]:
        """What may be given now. A message waits for those before it under its key, unless they go with it."""
        blocked = set()
        policy = subscription.dead_letter_policy
        for sent in self.sent[subscription.name]:
            key = sent.message.ordering_key if subscription.enable_message_ordering else ""
            if sent.acknowledged or (key and key in blocked):
                continue
            if sent.leased_until > time.monotonic():
                blocked.add(key)
            elif policy.dead_letter_topic and sent.deliveries >= policy.max_delivery_attempts:
                sent.acknowledged = True
                self.dead_letters.append(sent.message)
            else:
                yield sent

    def _deliver(self, subscription: types.Subscription, sent: Sent) -> types.ReceivedMessage:
        if sent.deliveries and sent.message.ordering_key:  # what followed is sent again too, acknowledged or not
            following = self.sent[subscription.name][self.sent[subscription.name].index(sent) + 1 :]
            for later in following:
                if later.message.ordering_key == sent.message.ordering_key:
                    later.acknowledged, later.leased_until = False, 0.0
        sent.deliveries += 1
        sent.leased_until = time.monotonic() + subscription.ack_deadline_seconds
        attempt = sent.deliveries if subscription.dead_letter_policy.dead_letter_topic else 0
        return types.ReceivedMessage(ack_id=sent.ack_id, message=sent.message, delivery_attempt=attempt)

    def _acknowledge(self, request: types.AcknowledgeRequest, _context: grpc.ServicerContext) -> empty_pb2.Empty:
        with self._changed:
            for sent in self._named(request.subscription, request.ack_ids):
                sent.acknowledged = not self.loses_acknowledgements
            self._changed.notify_all()
        return empty_pb2.Empty()

    def _modify(self, request: types.ModifyAckDeadlineRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        if request.ack_deadline_seconds and not 10 <= request.ack_deadline_seconds <= 600:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "ack_deadline_seconds: allowed are 0 and 10 to 600")
        with self._changed:
            self.extensions += 1
            for sent in self._named(request.subscription, request.ack_ids):
                sent.leased_until = time.monotonic() + request.ack_deadline_seconds
            self._changed.notify_all()
        return empty_pb2.Empty()

    def _named(self, subscription: str, ack_ids: list[str]) -> list[Sent]:
        """The messages of the ids; an id of an earlier delivery means nothing any more."""
        return [sent for sent in self.sent[subscription] if sent.ack_id in set(ack_ids)]


def _method(
    answer: Callable[[Any, grpc.ServicerContext], Any],
    request: type[proto.Message],
    response: type[proto.Message] | None,
) -> grpc.RpcMethodHandler:
    write = empty_pb2.Empty.SerializeToString if response is None else response.serialize
    return grpc.unary_unary_rpc_method_handler(answer, request.deserialize, write)


@contextmanager
def pubsub() -> Iterator[PubSubServer]:
    """A server that the SDK's clients find by themselves."""
    server = PubSubServer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUBSUB_EMULATOR_HOST", server.address)
        yield server
    server.stop()


class Topic:
    """A topic with one subscription, on whatever server the environment names."""

    def __init__(self, **options: Any) -> None:
        from google.pubsub_v1 import PublisherClient, SubscriberClient

        name = f"t{uuid.uuid4().hex[:8]}"
        self.project, self.subscription = "quarry-tests", f"{name}-sub"
        self._topic = f"projects/{self.project}/topics/{name}"
        self.path = SubscriberClient.subscription_path(self.project, self.subscription)
        self._client = PublisherClient()
        self._client.create_topic(name=self._topic)
        request = {"name": self.path, "topic": self._topic, "enable_message_ordering": True, "ack_deadline_seconds": 10}
        with SubscriberClient() as subscriber:
            subscriber.create_subscription(request=request | options)

    def publish(self, data: bytes, ordering_key: str = "") -> None:
        self._client.publish(topic=self._topic, messages=[{"data": data, "ordering_key": ordering_key}])

    def close(self) -> None:
        self._client.transport.close()
