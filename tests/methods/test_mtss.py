"""MTSS: the dictionary's mask, what teachers and students learn from, and what is shared."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import nn
from torch.nn import functional

from bench.protocol import AttributeType, Examples, Schema, TrainingData
from bench.training import TrainingRun
from methods.mtss import MTSS, embed
from methods.parts.label_dictionary import LabelDictionary, Student, StudentSet, Teacher, TeacherSet
from methods.parts.pairs import PairSampler, top_classes

SMALL = {"backbone": "test_efficientnet", "pretrained": False, "image_size": 32, "embedding_dim": 8, "optimizer": "adamw",
         "learning_rate": 4e-3, "images_per_epoch": 24, "epochs": 1, "batch_size": 8, "student_images_per_epoch": 16,
         "student_epochs": 1, "student_batch_size": 8, "student_warmup_images": 0, "student_learning_rate": 1e-3}  # fmt: skip
SCHEMA = Schema((AttributeType("type", ("a", "b", "c", "d"), True), AttributeType("x.y", ("e", "f"), False)))


def examples(count, seed, labels=True):
    """Noise with labels: class d of the first type never occurs, and a third of the images have no label of the second type."""
    rng = np.random.default_rng(seed)
    first, second = np.eye(4, dtype=np.int8)[np.arange(count) % 3], np.eye(2, dtype=np.int8)[np.arange(count) % 2]
    second[np.arange(count) % 3 == 2] = -1
    pixels = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return Examples(pixels, np.arange(count), {"type": first, "x.y": second} if labels else {}, np.arange(count, dtype=np.uint64))


@pytest.fixture(scope="module")
def data():
    return TrainingData(SCHEMA, examples(24, 0), examples(10, 1, labels=False), examples(12, 2))


def run():
    return TrainingRun(seed=0, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def teachers(data):
    method = MTSS(**SMALL)
    trained = {name: method.fit_teacher(name, data, run()).requires_grad_(False) for name in method.teachers(SCHEMA)}
    for network in trained.values():
        network.zero_grad()  # what training left behind
    return trained


def test_untrained_rows_are_never_ranked():
    dictionary = LabelDictionary(4, 8, learned=False)
    dictionary.trained[torch.tensor([0, 2])] = True
    scores = dictionary.scores(torch.randn(5, 8) * 9)
    assert bool((scores[:, [1, 3]] == -torch.inf).all())
    expected = functional.cosine_similarity(torch.ones(1, 8), dictionary.weight[[0, 2]])
    torch.testing.assert_close(dictionary.scores(torch.ones(1, 8))[0, [0, 2]], expected)


def test_classes_without_images_and_those_beyond_the_top_are_masked(data, teachers):
    assert teachers["type@1"].dictionary.trained.tolist() == [True, True, True, False]
    few = MTSS(**SMALL, top_classes=2).fit_teacher("type@1", data, run())
    assert few.dictionary.trained.tolist() == [True, True, False, False]


def test_a_teacher_sees_only_images_with_its_label(data):
    seen = []

    class Watch(TrainingRun):
        def train(self, name, module, loss, batches, recipe, **options):
            seen.append((batches.examples, batches.sampler))

    method = MTSS(**SMALL)
    method.fit_teacher("x.y@1", data, Watch(seed=0, device=torch.device("cpu")))
    ((kept, sampler),) = seen
    assert len(kept) == 16  # of 24
    assert kept.labels == {}
    assert np.array_equal(sampler.positive, data.labeled.labels["x.y"][kept.rows] == 1)


def test_only_the_anchors_rows_of_the_dictionary_move(data):
    """One step with anchors of classes 0 and 1: their vectors receive a gradient, no other row does."""
    method = MTSS(**SMALL, augment=False)
    network = method.build(SCHEMA, "type@1")
    images = data.labeled.batch(np.arange(8)).images
    method._teacher_loss(network, (torch.tensor([0, 1, 0, 1]), images), 1.0).backward()
    assert network.dictionary.weight.grad.any(dim=1).tolist() == [True, True, False, False]


@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_teacher_loss_against_the_loop(data, gamma):
    method = MTSS(**SMALL, augment=False)
    network = method.build(SCHEMA, "type@1").eval()
    images, classes = data.labeled.batch(np.arange(8)).images, torch.tensor([0, 1, 2, 1])
    embeddings, vectors = network(images).double(), network.dictionary.weight.double()
    total = 0.0
    for index, name in enumerate(classes):
        positive, negative = (functional.cosine_similarity(vectors[name], embeddings[at], dim=0) for at in (index, index + 4))
        p = 1 - max(0.0, 1 - positive.item() + negative.item()) / 2
        total -= (1 - p) ** gamma * np.log(p) / 4
    torch.testing.assert_close(method._teacher_loss(network, (classes, images), gamma).item(), total, rtol=1e-4, atol=1e-6)


def test_shared_negatives_average_all_pairs_of_the_batch(data):
    method = MTSS(**SMALL, augment=False, share_negatives=True)
    network = method.build(SCHEMA, "type@1").eval()
    images, classes = data.labeled.batch(np.arange(4)).images, torch.tensor([0, 1, 2, 0])
    carries = classes[:, None] == classes[None, :]
    embeddings, vectors = network(images).double(), network.dictionary.weight.double()
    terms = []
    for anchor in range(4):
        for other in range(4):
            if classes[anchor] != classes[other]:
                cosines = [functional.cosine_similarity(vectors[classes[anchor]], embeddings[at], dim=0).item() for at in (anchor, other)]
                p = 1 - max(0.0, 1 - cosines[0] + cosines[1]) / 2
                terms.append(-(1 - p) * np.log(p))
    found = method._teacher_loss(network, (classes, images, carries), 1.0).item()
    torch.testing.assert_close(found, float(np.mean(terms)), rtol=1e-4, atol=1e-6)


def test_shared_negatives_are_compared_in_full_precision_under_autocast(data):
    method = MTSS(**SMALL, augment=False, share_negatives=True)
    network = method.build(data.schema, f"{data.schema.names[0]}@1").train()
    images, classes, carries = torch.zeros(4, 3, 16, 16, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]), torch.eye(4, dtype=torch.bool)
    embeddings = torch.nn.functional.normalize(torch.randn(4, method.embedding_dim), dim=1)
    network.forward = lambda given: embeddings
    exact = method._teacher_loss(network, (classes, images, carries), 1.0)
    with torch.autocast("cpu", torch.bfloat16):
        assert method._teacher_loss(network, (classes, images, carries), 1.0) == exact


def slow_student_loss(student, experts, images, beta):
    """Eq. (4) over types, images and dictionary rows."""
    outputs, total = student(images), 0.0
    for (_, own), expert in zip(outputs.items(), experts, strict=True):
        targets = expert(images)
        for embedding, target in zip(own.double(), targets.double(), strict=True):
            rows = [row for row, trained in zip(expert.dictionary.weight.double(), expert.dictionary.trained, strict=True) if trained]
            closest = max(functional.cosine_similarity(row, target, dim=0).item() for row in rows)
            total += max(closest, 0) ** beta * (1 - functional.cosine_similarity(embedding, target, dim=0).item()) / len(images)
    return total


def test_student_loss_against_the_loop(data, teachers):
    method = MTSS(**SMALL, beta=2.0, student_augment=False)
    method.fit(data, teachers, run())
    images, experts = data.unlabeled.batch(np.arange(6)).images, list(teachers.values())
    method.model.dictionaries[0].weight[3] = experts[0](images)[0]  # an untrained row never is the closest one
    found = method._student_loss(method.model, experts, (images, embed(experts, images))).item()
    torch.testing.assert_close(found, slow_student_loss(method.model, experts, images, 2.0), rtol=1e-4, atol=1e-6)


def test_teachers_receive_no_gradient(data, teachers):
    experts = [expert.requires_grad_(True) for expert in teachers.values()]
    try:
        student = MTSS(**SMALL).build(SCHEMA)
        for dictionary, expert in zip(student.dictionaries, experts, strict=True):
            dictionary.load_state_dict(expert.dictionary.state_dict())
        MTSS(**SMALL)._student_loss(student, experts, data.unlabeled.batch(np.arange(6)).images).backward()
        assert all(value.grad is None for expert in experts for value in expert.parameters())
        assert all(value.grad is not None for value in student.parameters())
    finally:
        for expert in experts:
            expert.requires_grad_(False)
            expert.zero_grad()


def test_a_student_has_one_backbone_and_a_branch_a_type():
    student = MTSS(**SMALL).build(SCHEMA)
    assert isinstance(student, Student)
    alone = sum(value.numel() for value in MTSS(**SMALL).build(SCHEMA, "type@1").backbone.parameters())
    branches = 2 * 8 * (student.backbone.num_features + 1)
    assert sum(value.numel() for value in student.parameters()) == alone + branches  # the dictionaries are buffers
    moved = [name for name, _ in student.named_buffers() if name.startswith("dictionaries")]
    assert len(moved) == 4


def test_dictionaries_are_the_teachers_and_stay(data, teachers):
    method = MTSS(**SMALL)
    method.fit(data, teachers, run())
    for dictionary, expert in zip(method.model.dictionaries, teachers.values(), strict=True):
        assert torch.equal(dictionary.weight, expert.dictionary.weight)
        assert torch.equal(dictionary.trained, expert.dictionary.trained)


@pytest.mark.parametrize("augment", [False, True])
def test_the_pool_is_labelled_and_unlabelled_images_and_both_see_one_view(data, teachers, augment):
    views = {"teacher": [], "student": []}

    class Watch(TrainingRun):
        def train(self, name, module, loss, batches, recipe, **options):
            assert len(batches) == 34
            handles = [module.register_forward_pre_hook(lambda _, args: views["student"].append(args[0].float().clone()))]
            if augment:
                expert = teachers["type@1"]
                handles.append(expert.register_forward_pre_hook(lambda _, args: views["teacher"].append(args[0].float().clone())))
            step = batches.epoch(self.rng("first"))[0]
            loss(module, batches.load(step))
            for handle in handles:
                handle.remove()
            if not augment:
                assert torch.equal(views["student"][0], batches.images(step).float())
                expected = embed(list(teachers.values()), batches.images(step))
                torch.testing.assert_close(batches.load(step)[1], expected, rtol=1e-4, atol=1e-5)

    MTSS(**SMALL, student_augment=augment).fit(data, teachers, Watch(seed=0, device=torch.device("cpu")))
    if augment:
        assert torch.equal(views["teacher"][0], views["student"][0])


def test_the_row_teacher_answers_with_the_teachers(data, teachers):
    method = MTSS(**SMALL, answer="teacher")
    method.fit(data, teachers, run())
    assert isinstance(method.model, TeacherSet)
    images = data.validation.batch(np.arange(5)).images
    scores = method.predict(images)
    for name, expert in teachers.items():
        assert torch.equal(scores[name.removesuffix("@1")], expert.scores(images))


def test_distilling_brings_the_student_to_its_teachers(data, teachers):
    method = MTSS(**SMALL | {"student_epochs": 12, "student_images_per_epoch": 32, "student_learning_rate": 1e-2}, student_augment=False)
    method.fit(dataclasses.replace(data, validation=data.labeled), teachers, run())
    images, experts = data.labeled.batch(np.arange(24)).images, list(teachers.values())
    agreement = [
        functional.cosine_similarity(own, target).mean().item()
        for own, target in zip(method.model(images).values(), embed(experts, images).unbind(1), strict=True)
    ]
    assert min(agreement) > 0.5


def test_defaults_are_the_papers():
    paper = MTSS()
    assert (paper.backbone, paper.embedding_dim, paper.gamma, paper.beta, paper.top_classes) == ("resnet50", 1024, 1.0, 1.0, 40)
    teacher, student = paper._teacher_recipe(), paper._student_recipe()
    assert (teacher.optimizer, teacher.momentum, teacher.weight_decay, teacher.learning_rate) == ("sgd", 0.0, 0.0, 0.2)
    assert (teacher.epochs, teacher.schedule, teacher.decay_every_epochs, teacher.decay_factor) == (40, "step", 10, 0.5)
    assert (student.epochs, student.learning_rate, student.warmup_steps) == (100, 0.4, 1_000_000 // 128)


def test_teacher_parameters_are_those_a_teacher_uses():
    students_own = {"answer", "beta", "pool_dataset", "corrupted_per_image", "gamma", "tuned", "tune_gammas"}  # an exponent is in the name
    students_own |= {field.name for field in dataclasses.fields(MTSS) if field.name.startswith("student_")}
    assert set(MTSS.TEACHER_PARAMS) == {field.name for field in dataclasses.fields(MTSS)} - students_own


def test_a_type_that_cannot_be_ranked_is_named(data):
    labels = {**data.labeled.labels, "type": np.eye(4, dtype=np.int8)[np.zeros(24, dtype=int)]}
    single = dataclasses.replace(data, labeled=dataclasses.replace(data.labeled, labels=labels))
    with pytest.raises(ValueError, match=r"no pairs can be drawn for attribute type 'type': 1 classes"):
        MTSS(**SMALL).fit_teacher("type@1", single, run())


WRONG = [{"answer": "both"}, {"loss": "mse"}, {"gamma": -1.0}, {"beta": -0.5}, {"top_classes": 1}, {"epochs": 0}]
WRONG += [{"student_pool_share": 0.0}, {"corrupted_per_image": -1.0}]


@pytest.mark.parametrize("change", WRONG)
def test_errors(change):
    (name,) = change
    with pytest.raises(ValueError, match=f"mtss: {name} is {change[name]!r}; expected"):
        MTSS(**SMALL | change)


def test_networks_are_what_build_says():
    method = MTSS(**SMALL)
    assert isinstance(method.build(SCHEMA, "x.y@1"), Teacher)
    assert isinstance(method.build(SCHEMA), nn.Module)
    assert method.teachers(SCHEMA) == ["type@1", "x.y@1"]


def test_students_of_teachers_that_classify_are_refused(data, teachers):
    with pytest.raises(ValueError, match="loss is 'bce', whose embeddings lie at no angle"):
        MTSS(**SMALL, loss="bce").fit(data, teachers, run())


def test_rows_of_one_exponent_share_their_teachers():
    fixed, tuned = MTSS(**SMALL, gamma=0.5).teachers(SCHEMA), MTSS(**SMALL, tuned=True).teachers(SCHEMA)
    assert fixed == ["type@0.5", "x.y@0.5"]
    assert set(fixed) < set(tuned)
    assert len(tuned) == 2 * 4


def test_tuning_takes_the_teacher_that_is_best_on_validation(data):
    method = MTSS(**SMALL, tuned=True, tune_gammas=(0.0, 1.0), answer="teacher")
    networks = {name: method.build(SCHEMA, name) for name in method.teachers(SCHEMA)}
    for name, network in networks.items():
        network.dictionary.trained[:] = True
        network.gamma = name

    class Judge(TrainingRun):
        def score(self, predict, examples, metric):
            assert examples is not data.labeled
            assert len(examples.labels) == 1
            network = next(cell.cell_contents for cell in predict.__closure__ if isinstance(cell.cell_contents, Teacher))
            return {"type@0": 0.3, "type@1": 0.2, "x.y@0": float("nan"), "x.y@1": 0.1}[network.gamma]

    judge = Judge(seed=0, device=torch.device("cpu"))
    method.fit(data, networks, judge)
    assert judge.logged == {"gamma/type": 0.0, "gamma/x.y": 1.0}
    assert [expert.gamma for expert in method.model.experts] == ["type@0", "x.y@1"]


def test_bce_teacher_against_the_loop(data):
    method = MTSS(**SMALL, loss="bce", answer="teacher", augment=False)
    network = method.build(SCHEMA, "type@1").eval()
    network.dictionary.trained[:3] = True
    torch.nn.init.normal_(network.bias)
    images = data.labeled.batch(np.arange(4)).images
    targets = torch.eye(4, dtype=torch.bool)[torch.tensor([0, 1, 2, 0])]
    total = []
    for embedding, target in zip(network(images).double(), targets, strict=True):
        for row in range(3):  # the fourth never trains
            logit = (embedding * network.dictionary.weight[row].double()).sum() + network.bias[row].double()
            total.append(-torch.log(torch.sigmoid(logit if target[row] else -logit)).item())
    found = method._teacher_loss(network, (images, targets), 1.0)
    torch.testing.assert_close(found.item(), float(np.mean(total)), rtol=1e-4, atol=1e-6)
    assert network.scores(images)[:, 3].tolist() == [-torch.inf] * 4


def test_students_of_one_teacher_each(data, teachers):
    method = MTSS(**SMALL, answer="students", student_augment=False)
    method.fit(data, teachers, run())
    assert isinstance(method.model, StudentSet)
    images = data.validation.batch(np.arange(5)).images
    assert {name: scores.shape for name, scores in method.predict(images).items()} == {"type": (5, 4), "x.y": (5, 2)}
    one, other = (next(student.backbone.parameters()) for student in method.model.students)
    assert not torch.equal(one, other)


def pool_of(method, data, teachers):
    kept = []

    class Watch(TrainingRun):
        def train(self, name, module, loss, batches, recipe, **options):
            kept.append(batches)

    watch = Watch(seed=0, device=torch.device("cpu"))
    method.fit(data, teachers, watch)
    return kept[0], watch


def test_images_of_another_data_set_join_the_pool(data, teachers):
    more = dataclasses.replace(data, extra=(examples(7, 5, labels=False),))
    batches, watch = pool_of(MTSS(**SMALL, student_augment=False), more, teachers)
    assert len(batches) == watch.logged["pool_images"] == 24 + 10 + 7
    assert np.array_equal(batches.images(np.array([40])).permute(0, 2, 3, 1)[0], more.extra[0].pixels[6])


def test_smaller_pools_lie_inside_larger_ones(data, teachers):
    small, _ = pool_of(MTSS(**SMALL, student_augment=False, student_pool_share=0.2), data, teachers)
    large, _ = pool_of(MTSS(**SMALL, student_augment=False, student_pool_share=0.5), data, teachers)
    assert (len(small), len(large)) == (7, 17)
    assert set(small.kept) < set(large.kept)
    expected = embed(list(teachers.values()), small.images(np.arange(7)))
    torch.testing.assert_close(small.extra, expected, rtol=1e-4, atol=1e-5)


def test_a_corrupted_pool_leaves_the_share_of_clean_images_that_was_asked_for(data, teachers):
    method = MTSS(**SMALL | {"student_images_per_epoch": 4000}, corrupted_per_image=3.0)
    batches, watch = pool_of(method, data, teachers)
    names = np.concatenate([step[1] for step in batches.epoch(watch.rng("x"))])
    assert abs((names >= 0).mean() - 0.75) < 0.03
    assert set(names) == set(range(-1, 15))
    step = batches.epoch(watch.rng("x"))[0]
    first, again = batches.load(step), batches.load(step)
    assert torch.equal(first, again)
    altered = (first != batches.batches.images(step[0])).flatten(1).any(dim=1)
    assert altered.tolist() == (step[1] >= 0).tolist()


def test_class_draws_are_uniform_over_the_top_40():
    """Chi-square of 40,000 draws, with classes whose images differ a hundredfold in number."""
    rng = np.random.default_rng(0)
    counts = np.geomspace(2, 400, 60).astype(int)
    positive = np.repeat(np.eye(60, dtype=bool), counts, axis=0)[rng.permutation(counts.sum())]
    classes = top_classes(positive, 40)
    assert classes.tolist() == list(range(20, 60))
    drawn = np.concatenate([PairSampler(positive, classes).draw(np.random.default_rng(seed), 1000)[0] for seed in range(40)])
    observed = np.bincount(drawn, minlength=60)[20:]
    assert observed.sum() == len(drawn)
    assert chisquare(observed).pvalue > 0.01
