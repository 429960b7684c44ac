"""A loaded model, the scheduler that shares it out, and the cache that both speak of."""

from __future__ import annotations

from dataclasses import dataclass

from agentd.models.llama.cache import Cache
from agentd.models.llama.driver import Driver
from agentd.models.llama.scheduler import Scheduler
from agentd.models.llama.settings import EngineSettings
from agentd.models.llama.spill import Spill


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoder:
    """The scheduler decides, the cache carries that out, and the driver computes."""

    driver: Driver
    scheduler: Scheduler
    cache: Cache


def decoder_of(driver: Driver, settings: EngineSettings) -> Decoder:
    spill = Spill(settings.spill_bytes, whole_only=driver.whole_only)
    scheduler = Scheduler(
        slots=settings.sequences, context=driver.context, whole_only=driver.whole_only, find=spill.find
    )
    return Decoder(driver=driver, scheduler=scheduler, cache=Cache(driver, scheduler, spill))
