"""The settings, and the sessions: one pool a process, one session a request or message."""

import sys

import asyncpg
from loguru import logger
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="USUAL_")

    database_url: str
    broker_url: str
    jwks_url: str
    issuer: str
    port: int
    products: str


def log_to_stderr() -> None:
    logger.remove()
    logger.add(sys.stderr, level="INFO", format="{time:HH:mm:ss.SSS} {level} {message}", diagnose=False)


POOL = 20  # none beyond it: connections that come and go would cost more than the work done on them

settings = Settings()
engine = create_async_engine(
    "postgresql+asyncpg://",
    async_creator=lambda: asyncpg.connect(settings.database_url),
    pool_size=POOL,
    max_overflow=0,
)
Session = async_sessionmaker(engine, expire_on_commit=False, autoflush=False)
