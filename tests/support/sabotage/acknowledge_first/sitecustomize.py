"""A bug for every process that has this folder on its PYTHONPATH: a parcel is acknowledged before it is handled."""

from chassis.consumer import Consumer, RabbitMessage


async def receive(self, message: RabbitMessage) -> None:
    raw = message.raw_message
    await message.ack()
    await self.settle(str(raw.message_id), str(raw.routing_key), message.body, redelivered=bool(raw.redelivered))


Consumer.receive = receive
