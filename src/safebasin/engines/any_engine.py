"""The engines that a configuration can name.

Beside what `Engine` asks for, each of them has

own_process   whether another process answers, which cannot be copied, would have to start again
              for longer answers, and gives no probabilities
ends_early    whether answers end where their verdict is decided, by the rule `stop`
plain         the plain engine over the same model, directions and template
settle()      chooses how to work, before the engine is copied
plan_text()   how it will work, as far as that is known: one line for people, and maybe more
close()       ends what runs elsewhere; it starts again when it is asked
free()        gives back the memory of the model
"""

from __future__ import annotations

from safebasin.engines.fast.engine import FastEngine
from safebasin.engines.plain import PlainEngine
from safebasin.engines.vllm.engine import VllmEngine

AnyEngine = PlainEngine | FastEngine | VllmEngine
