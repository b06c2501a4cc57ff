"""A bug for every process that has this folder on its PYTHONPATH: a parcel is acknowledged before it is handled."""

from chassis.consumer import Consumer, IncomingMessage


async def receive(self, message: IncomingMessage) -> None:
    redelivered = bool(message.redelivered)
    await message.ack()
    await self.settle(str(message.message_id), str(message.routing_key), message.body, redelivered=redelivered)


Consumer.receive = receive
