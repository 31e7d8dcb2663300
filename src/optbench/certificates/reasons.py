"""Why a part of a rule has no reference that is somebody else's: by class, then by the text of the line or the form.

`*` stands for all of a class.
"""

SUMMED = (
    "public code averages the gradients and ensmallen decays the weights themselves, where the paper sums gradients"
)
TEXTBOOK = "a textbook's own form"
TIMM = "only timm has it, which is compared with where it is installed"
UNROTATED = "packages take the roots of all sides, and wait for the first renewal"
WINDOW = "torch averages without a window"

REASONS: dict[str, dict[str, str]] = {
    "Adam": {
        'case "hat":': "the way past it is for a word that no user can give",
    },
    "AMSGrad": {
        "form=first": TEXTBOOK,
    },
    "Averaged": {
        's["last"] = torch.cat([s["last"], p[None]])[-self.window :]': WINDOW,
        's["average"] = s["last"][-s["taken"] :].mean(0)': WINDOW,
        "return": WINDOW,
        "form=lawa": WINDOW,
    },
    "Cautious": {"mask=False": "no package has cautious decay alone"},
    "DemonAdam": {
        'm = beta * s["m"] + g': SUMMED,
        'return Quotient(m, root, c), {"m": m, "v": v, "product": product}': SUMMED,
        "form=paper": SUMMED,
    },
    "FTRL": {"warm_start=True": "packages start at 0"},
    "Hyperball": {"return": "references move matrices alone"},
    "KFAC": {
        'if "A" in state:': "every layer of the reference's network is called",
        "said.add(name)": "every layer of the reference's network is called",
        "warnings.warn(f\"KFAC: '{name}' takes steps of gradient descent: the model never calls it\", stacklevel=4)": (
            "every layer of the reference's network is called"
        ),
    },
    "LARC": {"*": TIMM},
    "LBFGSB": {"break": "after a line search that finds nothing, where SciPy gives up as well"},
    "MARS": {"first_step=paper": TIMM},
    "NAdam": {
        'last = h["beta1"] / (1 - h["beta1"] ** (t - 1) + (t == 1)) * s["m"]': TEXTBOOK,
        'now = (1 - h["beta1"]) / (1 - h["beta1"] ** t)': TEXTBOOK,
        'return Quotient(add_scaled(last, now, g), root, c), {"m": m, "v": v, "product": s["product"]}': TEXTBOOK,
        "form=simple": TIMM,
        "form=text": TEXTBOOK,
    },
    "Newton": {
        "return  # a loss that is not finite is for the caller to see": "references stay where there is a gradient",
        "for _ in range(size):": "the Krylov space of two parameters is whole before its size is",
    },
    "SAM": {
        "return self.inner.step(lambda: self._sharp(closure))": "references are given the objective",
        "for name, x in buffers.items():": "the network of the problems has no batch normalization",
        "module.get_buffer(name).copy_(x)": "the network of the problems has no batch normalization",
    },
    "Shampoo": {"if few:": UNROTATED, "if renew:": UNROTATED},
}
