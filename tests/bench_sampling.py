"""What the sampling loop costs beside its network calls, and beside `diffusers`, for every shipped denoiser.

Run from the repository's root, on a quiet machine: python tests/bench_sampling.py [PART OF A NAME ...] [--repeats 20]

Three loops of equal steps from the same noise take turns, on one thread: ours, DPM-Solver++(2M); the same network
alone, given the same inputs again; and `diffusers`' DPMSolverMultistepScheduler, which is given the denoiser's output.
Times are CPU time, the least of the repeats; the last column is how far the two solvers' results lie apart, of their
scale.
"""

import argparse
import time

import torch
from diffusers import DPMSolverMultistepScheduler

import nfdlab
from nfdlab import store
from nfdlab.diffusion.samplers import path


def solver(sigmas: torch.Tensor) -> DPMSolverMultistepScheduler:
    """`diffusers`' DPM-Solver++(2M) for a network that predicts the clean x, at these noise levels."""
    found = DPMSolverMultistepScheduler(prediction_type="sample", algorithm_type="dpmsolver++", solver_order=2,
                                        final_sigmas_type="zero", lower_order_final=False, use_karras_sigmas=True)
    found.set_timesteps(len(sigmas) - 1)
    found.timesteps = torch.arange(len(sigmas) - 1)
    found.sigmas = sigmas.clone()
    return found


def theirs(denoise, x: torch.Tensor, sigmas: torch.Tensor) -> torch.Tensor:
    """Its x is variance-preserving: ours / √(1 + sigma²)."""
    scheduler, scale = solver(sigmas), (1 + sigmas.square()).sqrt()
    x = x / scale[0]
    for i, t in enumerate(scheduler.timesteps):
        x = scheduler.step(denoise(x * scale[i], sigmas[i]), t, x).prev_sample
    return x


def seconds(run) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


@torch.inference_mode()
def measure(model, n: int, repeats: int) -> tuple[list[float], float]:
    """Milliseconds a step of the three loops, and how far results lie apart."""
    net, sigmas = model.net.denoiser, model.net.denoiser.noise_levels.sigmas(model.steps)
    denoise, calls, alone = model.denoiser(), [], net.net.forward

    def ours():
        for step in path(denoise, start, sigmas, method="dpmpp"):
            x = step.x
        return x

    start = sigmas[0] * torch.randn(n, *model.net.shape)
    net.net.forward = lambda *args: (calls.append(args), alone(*args))[1]
    ours()
    net.net.forward = alone
    loops = (ours, lambda: [alone(*args) for args in calls], lambda: theirs(denoise, start, sigmas))
    one, _, two = (loop() for loop in loops)
    times = [[seconds(loop) for loop in loops] for _ in range(repeats)]
    return [1e3 * min(t) / model.steps for t in zip(*times, strict=True)], float((one - two).abs().max() / one.std())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*"), parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--draws", type=int, nargs="*", default=[1, 64])
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{nfdlab.__file__}\nmilliseconds a step, one thread; ratios of our loop to the others\n")
    print(f"{'weights':32s}{'draws':>6s}{'ours':>9s}{'network':>9s}{'diffusers':>10s}{'/network':>9s}{'/diffusers':>11s}"
          f"{'apart':>9s}")
    for (approach, problem), file in sorted(store.shipped().items()):
        name = f"{approach}--{problem}"
        if approach == "coarse_to_fine" or args.names and not any(p in name for p in args.names):
            continue
        model = store.load(file, device="cpu")
        for n in args.draws:
            (ours, network, other), apart = measure(model, n, args.repeats)
            print(f"{name:32s}{n:6d}{ours:9.3f}{network:9.3f}{other:10.3f}{ours / network:9.2f}{ours / other:11.2f}"
                  f"{apart:9.0e}", flush=True)


if __name__ == "__main__":
    main()
