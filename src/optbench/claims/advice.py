"""When to use which: what documents advise, each line with the claims that support or contradict it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Advice:
    """A piece of advice.

    Attributes:
        situation: When it is meant to hold.
        said: What a document advises, in our words.
        documents: Where it stands.
        claims: Names of the claims that bear on it.
        ours: What we say after having tried it.
    """

    situation: str
    said: str
    documents: str
    claims: tuple[str, ...]
    ours: str


ADVICE = (
    Advice(
        "small data, a simple model",
        "gradient descent on full batches",
        "004",
        ("convex", "batch_epoch", "lbfgs_accurate"),
        "It gets there, but L-BFGS needs far fewer gradients, and mini-batches fewer passes over the data.",
    ),
    Advice(
        "much data, or data that arrive one by one",
        "stochastic gradient descent",
        "003, 004",
        ("batch_epoch", "batch_paths", "sgd_end", "batch_memory"),
        "A pass in small batches brings more than one in large ones; single samples end in noise: let the rate fall.",
    ),
    Advice(
        "between the two",
        "mini-batches",
        "003, 004",
        ("batch_variance", "batch_paths", "batch_time", "single_samples", "small_batches"),
        "The variance falls as 1 / B and no faster: a batch four times as large halves the noise.",
    ),
    Advice(
        "deep networks, curved valleys",
        "momentum",
        "001, 003, 004",
        ("momentum_faster", "momentum_rates", "momentum_plateau", "beta_overshoots", "beta_larger"),
        "Where curvatures differ much; with beta = 0.9 it is slower than plain descent in bowls that are nearly round.",
    ),
    Advice(
        "shallow local minima",
        "momentum, or adaptive methods",
        "000, 001, 002",
        ("local_minimum", "nag_local_minimum", "noise_local_minimum"),
        "Momentum at some rates, and noise that is strong enough; RMSprop and Adam stay where gradient descent stays.",
    ),
    Advice(
        "momentum overshoots",
        "NAG",
        "000, 001, 004",
        ("nag_overshoots", "nag_faster", "nag_networks", "nag_rnn", "nag_same_cost", "nag_rates"),
        "It overshoots by half as much, at the same cost, and tests better on the digits; it bears lower rates only.",
    ),
    Advice(
        "sparse features",
        "Adagrad",
        "000, 001, 002, 004",
        ("adagrad_sparse", "sparse_table", "adamax_sparse"),
        "Adagrad, and RMSprop or Adam as well, whose steps on rare gradients are as large; not Adamax, nor Adadelta.",
    ),
    Advice(
        "no time to tune a rate",
        "Adagrad or Adadelta",
        "000, 001, 002, 004",
        ("adagrad_tuning", "adadelta_rate", "robust_rates", "out_of_the_box"),
        "Neither spares the search: a handful of rates a factor of three apart costs little and decides much.",
    ),
    Advice(
        "deep networks with adaptive rates",
        "RMSprop",
        "003, 004",
        ("rmsprop_rate", "rmsprop_default", "rmsprop_rnn", "rmsprop_start", "moving_targets", "adam_rmsprop"),
        "At 0.001, not at the 0.01 of most libraries.",
    ),
    Advice(
        "a first try at anything",
        "Adam",
        "000, 003, 004",
        ("out_of_the_box", "adam_default", "adam_betas", "robust_rates", "adaptive_faster", "nadam_adam"),
        "Its default is close to its best here; NAG and momentum test better at theirs.",
    ),
    Advice(
        "weight decay",
        "AdamW instead of Adam",
        "001",
        ("decay_uniform", "adamw_norm", "adamw_generalizes", "sgd_weight_decay"),
        "It decays all weights alike; at every strength it shrank them less than Adam with L2, so tune the decay anew.",
    ),
    Advice(
        "noisy gradients",
        "Rprop",
        "004",
        ("rprop_noise", "rprop_plus", "rprop_start", "noise_averaging"),
        "No: it is for full batches. Average the noise by larger batches, or let the rate fall.",
    ),
    Advice(
        "spikes of the gradient",
        "Adamax",
        "001",
        ("adamax_spikes",),
        "Its step does not jump, but it is slow for longer after the spike than Adam; clip the gradient instead.",
    ),
    Advice(
        "Adam does not converge",
        "AMSGrad",
        "001",
        ("amsgrad_rate", "adam_diverges", "amsgrad_better"),
        "Where rare large gradients carry the signal; on the digits it cannot be told from Adam.",
    ),
    Advice(
        "small problems, exact answers",
        "L-BFGS, Newton",
        "000, 002, 004",
        (
            "lbfgs_accurate",
            "lbfgs_tuning",
            "lbfgs_networks",
            "lbfgs_batches",
            "newton_faster",
            "newton_parabola",
            "newton_cosh",
            "newton_saddles",
            "newton_memory",
        ),
        "L-BFGS first; Newton only where the Hessian is definite, or in its damped and saddle-free forms.",
    ),
    Advice(
        "bounds or constraints",
        "L-BFGS-B, augmented Lagrangian",
        "004",
        ("lbfgsb_bounds", "constraints"),
        "Both do what is said.",
    ),
    Advice(
        "linear problems",
        "conjugate gradients",
        "004",
        ("cg_linear", "cg_convex"),
        "With a line search they also do well beyond convex problems.",
    ),
    Advice(
        "matrix factorization",
        "L-BFGS on the factors",
        "004",
        ("factorization",),
        "More often right than Adam for as many gradients.",
    ),
    Advice(
        "online learning with many useless features",
        "FTRL-Proximal",
        "004",
        ("ftrl_zeros", "ftrl_tuning"),
        "Its zeros are exact, which an L1 term in the loss does not give.",
    ),
    Advice(
        "saddle points",
        "adaptive rates, larger batches",
        "002",
        ("saddle", "saddles_common", "saddle_adaptive", "saddle_curvature", "saddle_batch"),
        "Adaptive rates leave sooner, and so does any noise: larger batches stay longer.",
    ),
    Advice(
        "gradients that vanish with depth",
        "ReLU, batch normalization, residual links",
        "002",
        ("vanishing", "vanishing_tanh", "batch_norm"),
        "Each helps, and more than any optimizer does.",
    ),
    Advice(
        "features on different scales",
        "adaptive rates",
        "001",
        ("feature_scales", "no_common_rate"),
        "Scale the features first; else an adaptive rate for each weight is what is left.",
    ),
    Advice(
        "generalization",
        "SGD rather than Adam",
        "001",
        ("generalization", "train_test_gap", "adam_sharp"),
        "Not seen on these digits; look at the validation split, and tune both.",
    ),
    Advice(
        "rates over time",
        "a schedule that falls neither too fast nor too slowly",
        "002",
        ("decay_too_fast", "rate_phases", "schedule_local_minimum", "three_rates"),
        "An exponential that has fallen before the way is walked is the worst of the three.",
    ),
)
