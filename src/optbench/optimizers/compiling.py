"""All parameters of a step in one compiled call that reads and writes each element once."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from optbench.optimizers.arithmetic import working
from optbench.optimizers.halves import Unsplit, halve
from optbench.optimizers.rule import Hyper, Rule, State

T = TypeVar("T")
Moving = Sequence[tuple[Tensor, Tensor, State, Hyper]]

OPTIONS: dict[str, Any] = {"size_asserts": False, "guard_filter_fn": torch.compiler.skip_all_guards_unsafe}
"""What is compiled is a function of its tensors alone, whose layout is checked here: twice would cost a tenth."""

KERNELS: dict[Any, Callable[..., None]] = {}
"""What this process has compiled, by halves and layout: runs that follow one another share it."""


class Program:
    """The compiled step of some parameters.

    Args:
        rule: The optimizer's class.
        moving: The parameters, each with its state, which has the names of all later ones.

    Raises:
        Exception: Whatever torch.compile has to say where it cannot.
    """

    def __init__(self, rule: type[Rule], moving: Moving) -> None:
        if any(type(p) not in (Tensor, torch.nn.Parameter) for p, _, _, _ in moving):
            raise Unsplit("its parameters are not plain tensors")
        self.halves = [halve(rule, [group], p.detach(), s) for p, _, s, group in moving]
        tensors = self._tensors(moving)
        if len({id(x) for x in tensors}) < len(tensors):
            raise Unsplit("two of its tensors are one")
        self.layout = layout(tensors)
        self.device = tensors[0].device
        key = tuple(map(id, self.halves)), tuple(self.layout)
        self.numbers = np.zeros(sum(halves.needs for halves in self.halves))
        if key not in KERNELS:
            KERNELS[key] = compiled(self._step, torch.from_numpy(self.numbers).to(self.device), *tensors)
        self.kernel = KERNELS[key]

    def __call__(self, moving: Moving) -> bool:
        """Move the parameters and their states in place, and return True; or False if they are not as they were."""
        if len(moving) != len(self.halves):
            return False
        try:
            tensors = self._tensors(moving)
        except KeyError:  # the states of other parameters
            return False
        if layout(tensors) != self.layout:
            return False
        found: dict[Any, tuple[list[float], State]] = {}
        needed: list[float] = []
        renewed = []
        for (_, _, state, group), halves in zip(moving, self.halves, strict=True):
            key = id(group), halves.source, state["step"], *map(state.get, halves.form.numbers)
            if key not in found:
                if not halves.form.fits(group):
                    return False
                found[key] = halves.advance(group, state)
            numbers, new = found[key]
            needed += numbers
            renewed.append(new)
        self.numbers[:] = needed
        self.kernel(torch.from_numpy(self.numbers).to(self.device), *tensors)
        for (_, _, state, _), new in zip(moving, renewed, strict=True):
            state.update(new)
        return True

    def _tensors(self, moving: Moving) -> list[Any]:
        """Return gradient, parameter and the tensors of the state of each parameter."""
        found: list[Any] = []
        for (p, _, state, _), halves in zip(moving, self.halves, strict=True):
            found += [p.grad, p, *(state[name] for name in halves.form.vectors)]
        return found

    def _step(self, numbers: Tensor, *tensors: Tensor) -> None:
        left = iter(tensors)
        scalars = iter(numbers.unbind())
        for halves in self.halves:
            g, p, *old = (next(left) for _ in range(2 + len(halves.form.vectors)))
            needed = (next(scalars) for _ in range(halves.needs))
            step, *new = halves.tensors(working(g), working(p), *old, *needed)
            p.sub_(step)
            for before, after in zip(old, new, strict=True):
                before.copy_(after)


def layout(tensors: Sequence[Tensor]) -> list[Any]:
    """Return what has to stay of some tensors for a kernel to go on with them."""
    return [(x.shape, x.stride(), x.dtype, x.device) for x in tensors]


def compiled(step: Callable[..., T], *example: Tensor, options: Mapping[str, Any] = OPTIONS) -> Callable[..., T]:
    """Return a function of tensors that is compiled for an example; it looks at nothing else of what it is given.

    It is kept on disk, beside the kernels that torch keeps there: what torch does before it finds these takes seconds.

    Args:
        step: The function.
        *example: What it will be given, or the like.
        options: Torch's, of how to compile.
    """
    graph = make_fx(step, tracing_mode="fake")(*(x.detach() for x in example))
    place = kept_at(graph, example, options)
    try:
        kernel = load(place)
    except Exception:  # there is none, or none that can be read, for whatever reason torch finds fit
        jit: Any = torch.compile(graph.forward, fullgraph=True, dynamic=False, options=dict(options))
        kernel = jit.aot_compile((example, {}))
        with suppress(Exception):  # a full disk, say: the next process compiles anew
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            kernel.save_compiled_function(str(place))
    kernel.disable_guard_check()
    return partial(kernel, graph)


def kept_at(graph: GraphModule, example: Sequence[Tensor], options: Mapping[str, Any]) -> Path:
    """Return where a compiled function is kept: its name tells what it computes, of what, and with which commands."""
    constants = [(name, x.tolist()) for name, x in graph.named_buffers()]
    machine = torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    told = repr((graph.code, constants, layout(example), sorted(options), torch.__version__, machine))
    usual = str(Path(tempfile.gettempdir(), f"torchinductor_{os.getuid()}"))
    folder = os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", usual)  # torch, too, sets it once it has looked
    return Path(folder, "optbench", hashlib.sha256(told.encode()).hexdigest())


def load(place: Path) -> Any:
    """Return a compiled function that is kept.

    Raises:
        Exception: It is not there or damaged, or another user's.
    """
    with place.open("rb") as file:
        if os.fstat(file.fileno()).st_uid != os.getuid():
            raise PermissionError(f"{place} is another user's")
        return torch.compiler.load_compiled_function(file)
