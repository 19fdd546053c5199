"""Each lesson and its solutions, as a learner runs them: the sentences that a conclusion rests on are true of the
numbers that were just measured, and the still at the lesson's head shows those of its first picture."""

import base64
import io
import json
import re
from pathlib import Path

import nbformat
import pytest
from lesson_text import solutions
from PIL import Image

from nfdlab import report
from nfdlab.jupyter.lessons import lessons, read
from nfdlab.jupyter.page import PLOTLY, SWEEP, WIDGET, html

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
LESSONS = {path.stem: path for path in lessons(FOLDER)}
TOURS = {"00_start_here", "11_bake_off"}         # their panels may be left out of a report
TIMES = r"[\d.]+ (?:ms|µs|s)\b"                  # how long something took is another machine's business

# sentence of the lesson (or what a title computes) -> what must hold of the names that the lesson leaves behind
CLAIMS = {
    "00_start_here": {
        "the exact posterior's value is the best that anything can reach": "0.85 < best < 1.15",
        "*Predict:* eight observations, a smooth curve. Is there one answer?": "abs(spread[1] / spread[0] - 1) < 0.15"},
    "00a_problems_and_rulers": {
        "On digits and shapes, far ahead":
        "max(linear_['digits2d'], linear_['shapes3d']) < 0.7 and min(linear_['head2d'], linear_['film2dt']) > 0.9 "
        "and linear_['ball3dt'] > 2",
        "draws that see nothing (`climatology`) are nearer than either":
        "known['crps']['ball3dt', 'climatology'] < min(linear_['ball3dt'], known['crps']['ball3dt', 'kriging'])",
        "The mean wins on squared error by being a curve that cannot occur":
        "errors[1] < errors[0] and roughness[1] < 0.95",
        "Fewer frames can tell *more*": "odds[7] > odds[5] + 0.3",
        "Which of the two is *too sure*?": "worlds.loc[sure, 'coverage90'] < 0.7 < worlds['coverage90'].iloc[0]"},
    "00b_neural_field_primer": {
        "Two of them follow the curve": "missed['relu'] > 0.4 and max(missed['fourier'], missed['siren']) < 0.1",
        "ReLU learns from slow to fast, one wave after the other":
        "list(learned['relu'].values())[-1].argsort(descending=True).tolist() == [0, 1, 2, 3, 4]",
        "The ReLU slope is a staircase": "off['relu'] > 0.5 > 0.2 > max(off['fourier'], off['siren'])",
        "The best field still misses\nmuch between the samples":
        "0.3 < min(e[1] for e in errors.values()) and errors[15.0][0] < 0.1 < errors[2.0][0]",
        "Kriging wins, and every SIREN was fitted well": "scores.index[0] == 'kriging'",
        "The loss says all is well": "broken[10][0] < 0.05 and broken[10][1] > 5 * broken[1][1]"},
    "00c_diffusion_primer": {
        "all of it is in the start": "same > 0.97 and all(abs(share - 0.3) < 0.05 for share in shares.values())",
        "The loss does not go to nought, and should not": "0.5 < sum(losses[-100:]) / 100 < 0.9",
        "Twice as many steps, about half as far off":
        "0.45 < wrong[20] / wrong[40] < 0.58 and wrong['line'] < wrong[20] / 2",
        "With eight steps or fewer first order is the better":
        "all((error['second order'][n] > error['first order'][n]) == (n <= 8) for n in counts)",
        "One more line of code, no further call of the network, and second order":
        "need[1] < 0.6 * need[0] and slope[0] > -1.2 and -2.5 < slope[1] < -1.8 "
        "and error['second order'][32] / error['second order'][64] > 3",
        "Two humps, with odds close to Bayes'": "abs(left_found - left_exact) < 0.05",
        "At eight steps both humps are there and too wide": "off_by[8][1] > 1.1 and abs(off_by[24][1] - 1) < 0.12",
        "The exact denoiser itself fails, so it is the sampler's fault":
        "abs(outcome['20 … 0.02'][0] - 0.3) < 0.05 and abs(outcome['20 … 0.02'][1] - 1) < 0.1 "
        "and outcome['start at 0.3'][0] < 0.22 and max(outcome[k][1] for k in ('start at 0.3', 'stop at 0.6')) < 0.9",
        "Fresh data against fresh data is the floor": "table.index[-1] == 'one normal hump' "
        "and table['mean']['diffusion, learned'] < 0.5 * table['mean']['one normal hump']"},
    "01_latent_field": {
        "how closely you look should cost nothing until you look": "abs(longer - 1) < 0.3 "
        "and asking[1024] > 50 * asking[32]",
        "its draws are as good as discs that were only\nencoded and decoded":
        "toy['diffusion'][0] - toy['diffusion'][1] < toy['encoded'][0] + toy['encoded'][1] "
        "and abs(toy['fresh discs'][0]) < 2 * toy['fresh discs'][1]",
        "its discs are in wrong places": "toy['Gaussian'][0] - toy['Gaussian'][1] > "
        "3 * (toy['diffusion'][0] + toy['diffusion'][1])",
        "cannot be told from fresh digits by this classifier": "abs(right['diffusion'] - right.iloc[-1]) "
        "< (doubt['diffusion']**2 + doubt.iloc[-1]**2)**0.5 and right.iloc[-1] - doubt.iloc[-1] < 0.5",
        "Gaussian's draws are told apart": "right['Gaussian'] - doubt['Gaussian'] > 0.7 > "
        "right['diffusion'] + doubt['diffusion']",
        "Ours has the lower error, for this digit and in the table":
        "score['ours'] < score['linear'] and model.about['scores']['crps']['64'] < 0.9",
        "only the pattern of the observations changed":
        "sharpened['bicubic'][0] < 0.8 and sharpened['best linear answer'][0] < 1",
        "Both intervals lie below 1, so ours has the lower error":
        "tasks == 12 and max(most for _, _, most in sharpened.values()) < 0.97",
        "`pigdm` has about a fifth less error than the usual\nway": "digits_ == 40 "
        "and guiding.xs('pigdm', level=1)['crps_high'].max() < 1 "
        "and guiding.xs('pigdm', level=1)['crps'].between(0.74, 0.85).all() "
        "and max(dict(seconds), key=dict(seconds).get) == 'pigdm'",
        "`dps` has about half as much error again": "guiding.xs('dps', level=1)['crps_low'].min() > 1.2 "
        "and guiding.xs('dps', level=1)['crps'].between(1.35, 1.65).all()",
        "`linearised` cannot be\ntold from the usual way with eight steps; with twelve it has a little more error":
        "guiding.loc[(8, 'linearised'), 'crps_low'] < 1 < guiding.loc[(12, 'linearised'), 'crps_low'] "
        "and abs(same['crps'] / same['crps_kept'] - 1).max() < 0.05",
        "lesson 05 needs no guidance, and its table shows lower errors on digits":
        "nfd.load('sparse_conditional', 'digits2d').about['scores']['crps']['mean'] "
        "< model.about['scores']['crps']['mean']",
        "Without any network the error is about a third larger": "1.2 < costs['optimal_interpolation'][1] "
        "and 1.25 < costs['optimal_interpolation'][0] < 1.4",
        "More than half of that is lost already when only the shape of the\ndistribution goes":
        "costs['Gaussian draws'][1] > 1.1 and costs['Gaussian draws'][0] - 1 > 0.6 * "
        "(costs['optimal_interpolation'][0] - 1)",
        "so few discs cannot tell ours from the exact posterior": "exact_ratio['low'] < 1 < exact_ratio['high'] < 1.3",
        "only the diffusion is lost": "broken['÷ 10'][0] - broken['÷ 10'][1] > "
        "3 * (broken['unit scale'][0] + broken['unit scale'][1])",
        "Right levels do not save it, so the wrapping alone does\nharm":
        "broken['÷ 10, levels too'][0] - broken['÷ 10, levels too'][1] > "
        "2 * (broken['unit scale'][0] + broken['unit scale'][1])",
        "larger is the error when the field is not told how wide they are?": "aliasing > 3"},
    "02_weight_diffusion": {
        "But a Gaussian in place of the draws costs nothing":
        "1.2 < worth['network silenced'] < 1.7 and worth['Gaussian draws'] < 1.06 "
        "and worth['optimal_interpolation'] < 1.5",
        "on the right it is a third thing": "farther >= 28 "
        "and quarters['the same, permuted'][1] > 1.5 * quarters['one initialisation'][1]",
        "By both measures the toy's draws are nearer to the world than the Gaussian's":
        "share < 0.8 and toy['toy']['energy distance × 1000'] < toy['Gaussian']['energy distance × 1000']",
        "But they are still much further from a curve than its own fits are":
        "far['toy'] > 2 * far['fits'] and abs(far['fits'] - far['fresh curves']) < 0.04",
        "its prior has several times the energy distance of the diffusion's":
        "prior['Gaussian'] > 3 * prior['diffusion']",
        "exact draws nearly a third": "1.25 < shape_exact[0] < 1.34 and shape_exact[1] > 1.1 > shape[2]",
        "The model goes less than half of the way": "0.2 < way < 0.5",
        "Fresh functions are the nearer ones, so it has not memorised": "near['fresh functions'] < near['draws'] "
        "and nearer > 0.6",
        "Draws lie nearer to the 32 than fresh functions do": "copied_ < 0.75 * fresh_ and closer > 0.6",
        "the exact posterior is nearer and surer": "worse['low'] > 1.2",
        "the diffusion is still ahead of the Gaussian": "tasks >= 6 and low > 1.1",
        "once with the neurons of every fitted\nfield permuted": "away['permuted'] > 1.5 * away['shared']"},
    "03_score_field": {
        "White noise averages out": "fall[0] < 0.2 and fall[1] > 0.9",
        "where will the model's arrows differ most": "apart < 0.2",
        "The continuous noise is learned more slowly": "toy['continuous'] > 1.1 * toy['white']",
        "its draws lie nearer to sawtooths": "toy['library'] < 0.8 * toy['white']",
        "where is it hardest to beat?": "kept['to'].max() < 0.95",
        "From few pixels the linear answer is hardest to beat": "kept['ratio'].idxmax() in ('8 pixels', '16 pixels') "
        "and kept['95 % from'].iloc[:2].max() > kept['to'].iloc[-2:].max()",
        "At middle noise the difference is where a noisy value may belong to either": "jumpy[0.3] > 0.6 "
        "and near.float().mean() < 0.2",
        "At little noise the arrows themselves are short": "mean_apart[0.01] > 3 * mean_apart[0.3]",
        "On curves that jump the best linear answer": "worth['sawtooth1d']['optimal_interpolation'] > 3",
        "On digits, too, it costs most, a third and more": "worth['digits2d'].idxmax() == 'optimal_interpolation' "
        "and worth['digits2d']['optimal_interpolation'] > 4 / 3 and 1.14 < worth['digits2d']['Gaussian draws'] < 1.19",
        "points the field is worth about a tenth of the CRPS": "1.04 < costs['low'] and costs['high'] < 1.2 "
        "and abs(alike['field silenced'] / alike['full'] - 1) < 1e-3",
        "there the linear part is everything": "worth['gp1d']['network silenced'] < 1.05",
        "The error of a rung is nearly the same for both denoisers": "(off['exact'] - off['network'])"
        "[stayed['exact']].abs().max() < 0.06 and gone == 'naive'",
        "so is ΠGDM with the\nmeasured covariance": "off['exact', 'ΠGDM, measured'] < "
        "0.5 * off['exact', 'ΠGDM']",
        "at 64 places nearly all is drowned": "last['white noise at m places'][2] < 0.8 "
        "and abs(last['noise on the lattice'][0] - 1) < 0.02",
        "neither too wide nor too narrow": "wide['low'] < 1 < wide['high'] and abs(wide['spread'] - 1) < 0.05",
        "Its band does not say that the world has changed; the misfit does": "inside['model'] < 0.4 "
        "and inside['exact'] > 0.75 and misfit['model'] > 3 > 1 > misfit['exact']"},
    "04_coarse_to_fine": {
        "one draw in three is the nearer of the two": "0.25 < nearer < 0.45 and 0.3 < half < 0.7",
        "a scan without its folds is useless": "kept['regression'][2] < 0.6 and 0.7 < kept['one draw'][0] < 1.3",
        "The best linear answer says that too, and knows no border": "ratio[4][2] < 0.95 and ratio[8][2] < 1.05",
        "**Here the field earns its place**": "worth['field silenced'] > max(1.15, worth['optimal_interpolation']) "
        "and 1.01 < worth['Gaussian draws'] < 1.12",
        "Neither of the two scores says much about that": "costs['Gaussian draws']['crps'][0] < 1.07 and "
        "costs['Gaussian draws']['energy'][2] < 1.03 and large['Gaussian'][2] < 0.75 "
        "and abs(large['a draw'][0] - 1) < 0.2 and same > 0.95",
        "Given 0, the model takes the noise for tissue": "least > 1",
        "The regression bends where it should jump": "toy['a draw'] < 0.8 * toy['regression']",
        "and is too sure": "cover[0.0] > 1.15 and error[0.3] < error[0.0]",
        "creases are power where the truth has none": "off[4] > 4 * max(off[:2]) and extra > 10 and share < 1e-2",
        "Laid side by side, they do not": "step['by themselves'] > 2 * step['blended']"},
    "05_sparse_conditional": {
        "it already beats every linear answer": "toy['library'] < toy['toy'] < 0.9 * toy['best linear answer'] "
        "and toy_gain['high'] < 1",
        "at very few places: inside a jump": "few < 0.1",
        "these few tasks cannot tell it from the exact posterior": "found['model']['low'] < 1 < found['model']['high'] "
        "and all(1 < v < 1.05 for v in model.about['scores']['crps'].values()) "
        "and all(0.995 < v < 1.025 for v in model.about['scores']['spread'].values())",
        "So its ratio grows": "table.ratio('crps', 'optimal_interpolation')['crps'][16] > "
        "1.3 * table.ratio('crps', 'optimal_interpolation')['crps'][2]",
        "The draws are sharp strokes": "gain['high'] < 1 and kept['crps']['128'] < kept['crps']['8'] - 0.1",
        'On curves that jump the best linear answer has several times the error':
        "worth['optimal_interpolation'] > 3 and 1.05 < worth['Gaussian draws'] < 1.25",
        "a Gaussian in place of the exact posterior costs at least as much":
        "worth['exact, Gaussian draws'] / worth['exact'] > worth['Gaussian draws']",
        "the model's band holds about what the exact one holds": "abs(inside['one side'].loc['coverage90', "
        "'model'] - inside['one side'].loc['coverage90', 'exact']) < 0.1",
        "kriging, which fits its kernel to the observations, has": "inside['another kind'].loc['coverage90', "
        "'model'] < 0.6 and inside['another kind'].loc['coverage90', 'kriging'] > 0.7",
        "They do so only *between* the 128 points": "beyond[1] > 0.01 and beyond[0] == 0",
        "The toy's band is too wide":
        "ratio.loc['toy', 'spread / exact'] > 1.1 > ratio.loc['library', 'spread / exact']",
        "A straight line from point to point makes a ramp of every jump": "costs['low'] > 1.02 and costs['crps'] < 1.2",
        "The contradiction leaves no trace in the draws": "(clashing / agree).iloc[:2].sub(1).abs().max() < 0.02 "
        "and clashing.iloc[3] > 4 * agree.iloc[3] and clashing.iloc[2] < 1",
        "its draws miss the very observations that they were given": "misfit['model'] > 5 > 1 > misfit['kriging']"},
    "06_temporal_field": {
        "The mean is a **ghost**": "grey['mean of draws'] > 1.4 * grey['truth'] and "
        "grey['one draw'] < 1.15 * grey['truth']",
        "at gap 7 a turn of 252° one way is not 252° the other way":
        "odds['exact'][7] > 0.95 and odds['exact'][5] < 0.65",
        "Nobody named two directions to the network": "odds['apart'].mean() < 0.12",
        "The eight films show no more than that": "odds['films'][5] == 8 "
        "and odds['apart'][5] - odds['±'][5] < chance < odds['apart'][5] + odds['±'][5]",
        "The regression drifts the least": "toy['regression'] < 0.6 * toy['draws']",
        "though not at full speed": "toy['draws'] + bars['draws'] < 0.8",
        "Ours are several times too large": "shaky.mean() - 1.96 * shaky.std() / 8**0.5 > 2",
        "The draws agree at the seen frames 0 and 8": "max(spread[0], spread[8]) < 0.4 * spread[4] "
        "and max(spread) == max(spread[13:])",
        "**The network does the work**": "worth['optimal_interpolation'] > 4 and 1.09 < worth['Gaussian draws'] < 1.17",
        "Draws that are not weighted have more than a third more error": "worth['not reweighted'] > 4 / 3",
        "**On the film most is linear.**": "1.08 < of_film['network silenced'] < 1.15 < "
        "of_film['optimal_interpolation']",
        "at which gap do we gain most on straight lines": "real['to'].max() < 1",
        "On the film we are ahead of the best linear answer, but not of kriging":
        "rivals.loc['temporal_field', 'low'] < 1 < rivals.loc['temporal_field', 'crps'] "
        "and rivals.loc['temporal_field', 'high'] < rivals.loc['optimal_interpolation', 'low']",
        "bounce about as often as exact ones, on average": "abs(short['not weighted'].mean()) "
        "< 1.96 * short['not weighted'].sem()",
        "cannot be told from a second set of exact\nones": "away['not weighted'].mean() - 1.96 * "
        "away['not weighted'].sem() < away['exact, again'].mean()",
        "**The weighted draws bounce too rarely**": "short['weighted'].mean() + 1.96 * short['weighted'].sem() < 0",
        "At which gap the gain is largest, so few crops cannot tell": "real.loc['straight lines', 'to'].min() > "
        "real.loc['straight lines', '95 % from'].max()",
        "straight lines win by CRPS, too": "at_seen['straight lines'] < at_seen['ours']",
        "the spread of discs, of which every fourth frame is seen": "min(scores['spread'][k] for k in "
        "(('moving_disc2dt', 'every 4'), ('two_speed1dt', 'every 3'), ('two_speed1dt', 'every 7'))) > 2.5",
        "nearly as good as exact draws": "max(scores['CRPS'][k] for k in (('moving_disc2dt', '0'), "
        "('two_speed1dt', '0'), ('two_speed1dt', 'every 5'))) < 1.2",
        "nothing else can come out": "off['two discs'] > 2 * off['one disc']",
        "how large is the jump where one window ends": "step['each by itself'] > 3 * step['blended']",
        "a step across a border is about as large as any other": "0.5 < step['blended'] < 1.5"},
    "07_adaptive_sampling": {
        'without its network the error is nearly three times as large':
        "2.5 < worth['network silenced'] < 3.2 and worth['Gaussian draws'] > 1.2",
        "Looking where draws disagree leaves much less than looking at random":
        "0.5 < factor['variance'][0] < 0.65 and factor['variance'][2] < factor['random'][1]",
        "Exact draws and the model\ncome within 0.03 of the theory, and the last row does not tell the two apart":
        "max(abs(factors.loc[name, 'factor a look'] - theory) for name in ('exact', 'model')) < 0.03 "
        "and factors.iloc[-1]['low'] < 0 < factors.iloc[-1]['high'] "
        "and factors.loc['random', 'low'] > factors.loc['model', 'high']",
        "The grid leaves three times the model's mean error, and so does `adaptive`":
        "many == 40 and all(2.8 < paid.loc[('mean', name, 16), 'ratio'] < 3.4 and paid.loc[('mean', name, 16), 'low'] "
        "> 1.5 for name in ('grid', 'adaptive')) and abs(anew['rmse'] - kept_rmse.loc[last, 'model'][:1]).max() < 0.01",
        "The median hill: ten and five times":
        "9 < paid.loc[('median', 'grid', 16), 'ratio'] < 11 "
        "and 4.5 < paid.loc[('median', 'adaptive', 16), 'ratio'] < 5.5",
        "it measures 37 of 40 hills to an RMSE of 0.08, and only 13 to 0.04":
        "reached.loc['grid', 'measured to 0.08'] == 37 and reached.loc['grid', 'measured to 0.04'] == 13",
        "a third of\nthem it does not measure even to 0.08":
        "12 <= many - reached.loc['adaptive', 'measured to 0.08'] <= 14 and 0.135 <= flat < 0.145",
        "nine hills in ten are\nmeasured to 0.04, by the model as by the exact posterior":
        "reached.loc[['exact', 'model'], 'measured to 0.04'].tolist() == [36, 36] "
        "and paid.loc[('mean', 'exact', 16), 'low'] < 1 < paid.loc[('mean', 'exact', 16), 'high']",
        "It pays from eight looks on":
        "all(paid.loc[('mean', name, m), 'low'] > 1 for name in ('grid', 'adaptive') for m in (8, 12, 16))",
        "Two different surfaces got the same looks": "bool((greedy.seen.coords == other.seen.coords).all())",
        "does not measurably beat looks at random\nhere: the difference is less than its two standard errors":
        "abs(chance['exact, variance'].mean()) < 2 * chance['exact, variance'].sem()",
        "Greedy looks crowd at the walls, and a grid is better":
        "walls > 1.3 * (1 - 0.8**2) and excess['exact, variance'].mean() > 2 * excess['exact, variance'].sem()",
        "The first ten looks can be planned":
        "all(over.loc[('planned', m), 'low'] < 1 < over.loc[('planned', m), 'high'] "
        "for m in (5, 10)) and over.loc[('random', 10), 'low'] > 1",
        "the plan leaves a tenth more error, after 40 a quarter more":
        "1.05 < over.loc[('planned', 20), 'ratio'] < 1.15 and 1.2 < over.loc[('planned', 40), 'ratio'] < 1.3 "
        "and over.loc[('planned', 20), 'low'] > 1",
        "is little better than chance":
        "0.8 < over.loc[('grid', 20), 'ratio'] / over.loc[('random', 20), 'ratio'] < 1.05",
        "what share of the pixels must be asked": "asked < 0.1 * pixels**2 and off < tolerance",
        "what the prior excludes is never looked for":
        "blind['looks right']['left hills only'].max() < 0.05 and blind['looks right']['all hills'].mean() > 0.5 "
        "and worse.mean() > 4 * worse.sem()",
        "by less than a fifth of the error":
        "(blind['spread of draws']['left hills only'] < blind['RMSE']['left hills only'] / 5).all()",
        "Nearly everywhere the pull is nearly zero": "weak < 1 / 1000 and pull[8 / 128] < pull[0] / 50",
        "With `dps` they jump anywhere, and looks go where the answer is":
        "guides['interval left']['dps'].mean() > 2 * guides['interval left']['particles'].mean() and all("
        "v['difference'].mean() > 2 * v['difference'].sem() for v in deaf.values())"},
    "08_stochastic_field": {
        "every point can be calibrated and the whole be wrong":
        "held + 2 * (held * (1 - held) / many) ** 0.5 < 0.85 "
        "and abs(dealing.loc[('sawtooth1d', 'place by place'), 'crps'] "
        "- dealing.loc[('sawtooth1d', 'as drawn'), 'crps']) < 1e-3 "
        "and dealing.loc[('step1d', 'place by place'), 'spread of what is asked'] "
        "< 0.7 * dealing.loc[('step1d', 'exact'), 'spread of what is asked']",
        "The energy score sees a little of it. The variogram score sees more":
        "1 < relative['sawtooth1d', 'place by place', 'energy'][1] "
        "and relative['sawtooth1d', 'place by place', 'energy'][0] "
        "< relative['sawtooth1d', 'place by place', 'variogram'][0] "
        "and relative['sawtooth1d', 'place by place', 'variogram'][1] > 1",
        "it knows neither how many jumps": "dealing.loc[('sawtooth1d', 'by covariance'), 'spread of what is asked'] "
        "> 2 * dealing.loc[('sawtooth1d', 'as drawn'), 'spread of what is asked']",
        "Place by place the values are right and the curves are nonsense":
        "off['place by place'] < 0.03 and counts['place by place'] > 2 * counts['fresh sawtooths']",
        "With neighbours the same five layers draw curves with about as many":
        "abs(counts['with neighbours'] / counts['fresh sawtooths'] - 1) < 0.3",
        "the network is needed": "worth['sawtooth1d']['optimal_interpolation'] > 2",
        "there the linear part is everything": "abs(worth['gp1d']['network silenced'] - 1) < 0.05",
        "The error is many times larger, and more than both parts together say":
        "rise['error of the mean'] > 2.5 and doubt['error of the mean'].iloc[1] - error['error of the mean'].iloc[1] > "
        "1.5 * (doubt['aleatoric'].iloc[1]**2 + doubt['epistemic'].iloc[1]**2) ** 0.5",
        "The epistemic part hardly rises": "rise['epistemic'] < 1.6",
        "The misfit does rise": "doubt['misfit'].iloc[1] - error['misfit'].iloc[1] > "
        "2 * (doubt['misfit'].iloc[0] + error['misfit'].iloc[0])",
        "ours cannot be told from exact by any of the three": "all(ours_[f'{s}_low'] < 1 < ours_[f'{s}_high'] "
        "for s in scores)",
        "the *largest* value of a draw is a little too high": "top < 0.6"},
    "09_modulated_field": {
        "For waves the kind lives in the first layer":
        "first['as A'] > 0.6 and first['as B'] < 0.1 and turns['families1d'] == 1",
        "the result is of A's kind only when the last layer is A's too":
        "crossed.loc[('styles2d', 1), 'odds']['as B'] > 0.9 and turns['styles2d'] == painter.depth",
        "hardly any of the third": "crossed.loc[('styles2d', 2), 'odds']['as B'] > 0.9 "
        "and crossed.loc[('styles2d', 2), 'odds']['neither'] < 0.1",
        "by that the toy is far ahead": "share < 0.6",
        "by it the two are close together": "0.5 < toy['toy']['energy distance'] / "
        "toy['Gaussian over its latents']['energy distance'] < 1.5",
        "both rivals stay behind":
        "max(ratio['particles'], ratio['encoder']) < min(ratio['optimal_interpolation'], ratio['kriging'])",
        "how far apart are the two latents": "apart[32] < 0.2 and missed_at[128] < 0.05",
        "The bridge\nstays nearest to waves on the average":
        "off['bridge'].mean() < 0.85 * min(off['straight'].mean(), off['spherical'].mean())",
        "without it the error grows, and the whole interval lies above 1":
        "tasks >= 12 and costs['diffusion silenced'][1] > 1",
        "Field and weighing\nalone cannot be told from the best linear answer":
        "costs['optimal_interpolation'][1] < costs['diffusion silenced'][0] < costs['optimal_interpolation'][2]",
        "the interval of the Gaussian draws lies above 1, too":
        "1 < costs['Gaussian draws'][1] and costs['Gaussian draws'][0] < costs['diffusion silenced'][0]",
        "The latter costs exact draws something too": "worth['exact, Gaussian draws'] > 1.02 * worth['exact']",
        "taking the networks away costs more than taking the shape of the distribution away":
        "worth['optimal_interpolation'] > 1.5 * worth['Gaussian draws']",
        "One step misses more; nine more steps hardly help":
        "missed[1] > 1.3 * missed[3] and 0.8 * missed[3] < missed[12] < 1.1 * missed[3]",
        "Too wide, and further from waves":
        "blobs[0.05]['spread'] > 1.2 > blobs[1.0]['spread'] and blobs[0.05]['off'] > 1.5 * blobs[1.0]['off']"},
    "10_sparse_features": {
        "*Predict:* where will the draws differ most?": "wide[1] > 1.2 * wide[0]",
        "giving the function back from either set is enough": "library['same shape, other points'] < 0.5",
        "By CRPS the toy is between the best linear answer and the exact posterior":
        "1 < ratio['toy'][0] < ratio['best linear answer'][0]",
        "Given the points of another disc its error is much larger":
        "ratio['toy, points of another disc'][0] > 1.25 * ratio['toy'][0] and ratio['autoencoder, 48 points'][0] > 0.6",
        "The spline, which has met none, is\nthe better one here":
        "lost.mean() > 2 * lost.sem() and found['draws with a hole'].mean() < 0.95",
        "Half a surface is where the tokens help most": "kept.loc['half', 'tokens'] < 0.9 * kept.loc['half', 'rbf'] "
        "and kept.loc['half', 'tokens ahead by'] > doubt.loc['half', 'tokens ahead by']",
        "costs only a few percent on outlines, and a little more on solids":
        "worth['shapes3d']['optimal_interpolation'] > 2 and worth['stars2d']['optimal_interpolation'] > 1.3 "
        "and 1.01 < worth['stars2d']['Gaussian draws'] < 1.06 "
        "and worth['stars2d']['Gaussian draws'] < worth['shapes3d']['Gaussian draws'] < 1.2",
        "until the field meets the observations": "off['after'] < 0.7 * off['before']",
        "Noise that is not the stated one does the harm":
        "min(noise_rows[m, 'noise 10 × what is stated'][1] for m in (24, 200)) > 1.5"},
    "11_bake_off": {
        "A wins three tasks of four and has the worse mean; and from four tasks nobody can tell: the interval holds 1":
        "wins == 3 and mine['A'] > mine['B'] and low < 1 < high",
        "The same, up to rounding": "differ < 2e-3",
        "No approach is best everywhere": "len(set(best.values())) > 1 and worst[winner][1] > 1.01",
        "README and `00_start_here` show the same": "len(lines) == 13"},
}


def words(png: bytes) -> str:
    """The titles of a picture, from its file's description."""
    return Image.open(io.BytesIO(png)).info.get("Description", "")


def numbers(text: str) -> list[float]:
    """The numbers of a title, times left out."""
    return [float(n) for n in re.findall(r"\d+(?:\.\d+)?", re.sub(TIMES, "", text))]


def plain(text: str) -> str:
    """Without line ends."""
    return " ".join(text.split())


def test_a_lesson_makes_the_claims_that_are_tested():
    assert set(CLAIMS) <= set(LESSONS)
    for stem, claims in CLAIMS.items():
        prose = plain("\n".join(c.source for c in read(LESSONS[stem]).cells if c.cell_type == "markdown"))
        assert [said for said in claims if plain(said) not in prose] == [], stem


def test_numbers_leave_times_out():
    assert numbers("32²: asked in 14 ms; off by 28%, 0.95 of 64") == [32.0, 28.0, 0.95, 64.0]


def executed(stem: str, given: dict, *more: str):
    """A lesson run from top to bottom, then further cells; all that it put out, cell by cell."""
    lesson = read(LESSONS[stem])
    lesson.cells += [nbformat.v4.new_code_cell(source) for source in more]
    try:
        done = report.execute(lesson, FOLDER, given, timeout=600)
    except report.CellFailed as failure:
        pytest.fail(f"{failure.what}\nin the cell\n{failure.cell.source}")
    return done


def no_fault_is_seen(stem: str, done, own: int) -> None:
    """No error or warning; a report of the first `own` cells shows its panels without a kernel or a network."""
    outputs = [o for c in done.cells if c.cell_type == "code" for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    noise = "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stderr")
    assert "Warning" not in noise, noise
    shown = [o.data for o in outputs if "data" in o]
    panels = [data for data in shown if SWEEP in data or WIDGET in data]
    assert all("image/png" in data for data in panels), "a panel without a picture for readers without a kernel"
    assert any("image/png" in data or "image/svg+xml" in data or PLOTLY in data for data in shown), "no picture at all"
    if stem not in TOURS:
        assert any(SWEEP in data for data in panels), "no panel to turn in the report"
    page = html(nbformat.from_dict({**done, "cells": done.cells[:own]}), FOLDER)
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"'](https?:)?//", page)
    assert "<pre class=\"error\">" not in page


@pytest.mark.learner
def test_a_lesson_trains_at_the_smoke_budget():
    done = executed("05_sparse_conditional", {"budget": "smoke", "device": "cpu"})
    no_fault_is_seen("05_sparse_conditional", done, len(done.cells))


@pytest.mark.learner
@pytest.mark.parametrize("stem", LESSONS)
def test_what_a_lesson_says_is_true_of_what_it_measured(stem):
    """It runs, and so do its solutions; the report is whole; claims and still agree with the numbers."""
    cells = read(LESSONS[stem]).cells
    held = ", ".join(f"{said!r}: bool({expression})" for said, expression in CLAIMS.get(stem, {}).items())
    done = executed(stem, {}, f"import json\nprint('claims', json.dumps({{{held}}}))", *solutions(cells))
    no_fault_is_seen(stem, done, len(cells))
    said = json.loads(done.cells[len(cells)].outputs[-1].text.partition("claims ")[2])
    assert [sentence for sentence, true in said.items() if not true] == []

    outputs = [o for c in done.cells[:len(cells)] if c.cell_type == "code" for o in c.outputs]
    first = next(o.data["image/png"] for o in outputs if "data" in o and "image/png" in o.data)
    picture = (FOLDER / "pictures" / f"{stem}.png").read_bytes()
    here, still = (numbers(words(png)) for png in (base64.b64decode(first), picture))
    assert still or not here, "a still without its titles: python pictures/make.py"
    assert here == pytest.approx(still, rel=0.05, abs=0.02), "the still shows other numbers: python pictures/make.py"
