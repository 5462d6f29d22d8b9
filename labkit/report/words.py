"""The words of the report, in Chinese and in English."""

LANGUAGES = ("zh", "en")

# What every report has, in the order of the page.
WORDS: dict[str, dict[str, str]] = {
    "zh": {
        "html_lang": "zh-CN", "report": "实验报告", "colon": "：",
        "id": "学号", "major": "专业", "name": "姓名", "date": "实验日期",
        "signature": "教师签字", "grade": "成绩",
        "title_head": "一、实验名称", "purpose_head": "二、实验目的",
        "requirements_head": "三、实验要求", "content_head": "四、实验内容",
        "results_head": "五、实验代码和结果",
        "discussion_head": "六、小结或讨论",
        "title": "循环神经网络：从字符到 LSTM",
        "incomplete": "本报告不完整，缺少或有问题的部分：",
        "trainings": "全部训练一览",
        "trainings_note": "表中数字均读自训练时保存的记录（History 文件），"
        "没有手工填写的数字。困惑度越低越好；“留出文本”未参与训练。",
        "no_trainings": "没有找到任何已保存的训练记录。",
        "training": "训练", "corpus": "语料", "epochs": "轮数",
        "train_perplexity": "训练困惑度", "held_out": "留出困惑度",
        "best": "留出最低（轮次）", "seconds": "秒", "status": "状态",
        "code": "代码", "code_note": "以下各部分的代码包括练习的解答、"
        "训练单元，以及它们所依赖的单元；方括号内是单元在笔记本中的位置。",
        "exercise": "练习", "check": "检查结果",
        "summaries": "结果", "pictures": "图", "figure": "图",
        "answers": "书面回答", "question": "问题", "printed": "本节输出",
        "empty": "（空）", "none": "（无）", "source": "笔记本",
        "saved": "保存于",
        "no_notebook_found": "没有可用的笔记本。",
        "no_discussion": "（没有写讨论。）",
        "training_curve": "训练曲线：",
        "result_picture": "保存的图：",
    },
    "en": {
        "html_lang": "en", "report": "Experiment report", "colon": ": ",
        "id": "Student ID", "major": "Major", "name": "Name", "date": "Date",
        "signature": "Teacher's signature", "grade": "Grade",
        "title_head": "1. Name of the experiment",
        "purpose_head": "2. Purpose", "requirements_head": "3. Requirements",
        "content_head": "4. Content", "results_head": "5. Code and results",
        "discussion_head": "6. Summary and discussion",
        "title": "Recurrent neural networks: from characters to LSTM",
        "incomplete": "This report is incomplete. Missing, or not in order:",
        "trainings": "All trainings",
        "trainings_note": "Every number is read from the record that a "
        "training has saved (its History file); none was typed in. Lower "
        "perplexity is better; no step has trained on the held-out text.",
        "no_trainings": "No record of a training was found.",
        "training": "training", "corpus": "text", "epochs": "epochs",
        "train_perplexity": "training perplexity",
        "held_out": "held-out perplexity",
        "best": "lowest held out (epoch)", "seconds": "seconds",
        "status": "status",
        "code": "Code", "code_note": "The code below is that of the solved "
        "exercises, of the trainings, and of the cells that these rest on; "
        "in brackets stands a cell's place in its notebook.",
        "exercise": "exercise", "check": "check",
        "summaries": "Results", "pictures": "Pictures", "figure": "Figure ",
        "answers": "Written answers", "question": "Question",
        "printed": "Printed in this section",
        "empty": "(empty)", "none": "(none)", "source": "Notebook",
        "saved": "saved",
        "no_notebook_found": "There is no notebook to show.",
        "no_discussion": "(No discussion was written.)",
        "training_curve": "training curve: ",
        "result_picture": "saved picture: ",
    },
}
PURPOSE = {
    "zh": (
        "把一部小说变成数字序列，理解词元、词表和语料库。",
        "比较长序列的两种读取方式：随机采样和顺序分区。",
        "从零实现循环神经网络及其训练，并用 PyTorch 的层逐项验证。",
        "理解门控：从零实现 LSTM，并与 GRU 公平比较。",
        "学会诚实地衡量模型：区分背诵训练文本和读懂新文本。",
    ),
    "en": (
        "Turn a novel into a sequence of numbers: tokens, vocabulary, "
        "corpus.",
        "Compare two ways to read a long sequence: random sampling and "
        "sequential partitioning.",
        "Build a recurrent network and its training from scratch, and prove "
        "each step against PyTorch's layers.",
        "Understand gates: build an LSTM from scratch, and compare it fairly "
        "with a GRU.",
        "Measure honestly: tell reciting the training text from reading "
        "new text.",
    ),
}
REQUIREMENTS = {
    "zh": (
        "按顺序完成六个笔记本，并从头到尾运行一遍。",
        "写出各练习的函数，并通过其下方的检查。",
        "在《时间机器》上完成全部训练，不截断轮数。",
        "回答书面问题；每个结论都要有运行结果作依据。",
        "写出小结或讨论。",
    ),
    "en": (
        "Work through the six notebooks in order, and run each from top to "
        "bottom.",
        "Write the functions of the exercises, and pass the check below "
        "each.",
        "Run all the trainings on The Time Machine, with all their epochs.",
        "Answer the written questions; every statement rests on a result "
        "of the run.",
        "Write a summary or a discussion.",
    ),
}
# The parts of the content, by the keys of lessons.PARTS.
CONTENT = {
    "zh": {
        "text": "文本预处理与长序列",
        "scratch": "从零实现循环神经网络",
        "concise": "循环神经网络的简洁实现，以及深度问题",
        "lstm": "从零实现 LSTM",
        "deep": "深层网络，以及 LSTM 与 GRU 的选择",
    },
    "en": {
        "text": "Text preprocessing and long sequences",
        "scratch": "A recurrent network from scratch",
        "concise": "The concise network, and the question of depth",
        "lstm": "The LSTM from scratch",
        "deep": "Deep networks, and the question LSTM or GRU",
    },
}
# How far a training got; see History.
STATUS = {
    "zh": {
        "full": "完整", "capped": "轮数被截断", "interrupted": "被中断",
        "diverged": "发散", "replayed": "录制的运行，未在此训练",
    },
    "en": {
        "full": "full run", "capped": "CAPPED", "interrupted": "INTERRUPTED",
        "diverged": "DIVERGED",
        "replayed": "RECORDED RUN, not trained here",
    },
}
AND_MORE = {"zh": "另有 {number} 项", "en": "and {number} more"}
# What can be missing. {where} is a notebook, {what} says more.
PROBLEMS = {
    "zh": {
        "no_notebook": "{where}：没有找到这个笔记本",
        "unreadable": "{where}：无法作为笔记本读取",
        "not_executed": "{where}：没有运行过",
        "cells_left": "{where}：有单元没有运行（{what}）",
        "order": "{where}：没有从上到下按顺序运行（{what}）",
        "error": "{where}：有单元报错（{what}）",
        "changed": "{where}：{what} 在运行之后又修改过，请重新运行",
        "exercise": "{where}：练习没有完成（{what}）",
        "check": "{where}：练习没有通过检查（{what}）",
        "answer": "{where}：书面回答为空（{what}）",
        "discussion": "没有写小结或讨论（标有 discussion 的单元）",
        "no_result": "{where}：缺少结果文件（{what}）",
        "damaged": "{where}：结果文件无法读取（{what}）",
        "partial": "{where}：训练不完整（{what}）",
        "replayed": "{where}：播放了录制的运行，没有训练（{what}）",
        "practice": "{where}：用的不是《时间机器》（{what}）",
        "older": "{where}：结果不是这次运行留下的（{what}）",
    },
    "en": {
        "no_notebook": "{where}: there is no such notebook",
        "unreadable": "{where}: cannot be read as a notebook",
        "not_executed": "{where}: was not executed",
        "cells_left": "{where}: cells were not run ({what})",
        "order": "{where}: was not run from top to bottom ({what})",
        "error": "{where}: a cell ended with an error ({what})",
        "changed": "{where}: {what} was changed after the run; run it again",
        "exercise": "{where}: exercises are not written ({what})",
        "check": "{where}: exercises have not passed their check ({what})",
        "answer": "{where}: written answers are empty ({what})",
        "discussion": "no discussion was written (the cell tagged "
        "`discussion`)",
        "no_result": "{where}: results are missing ({what})",
        "damaged": "{where}: results cannot be read ({what})",
        "partial": "{where}: trainings are not complete ({what})",
        "replayed": "{where}: a recorded run was replayed, not trained "
        "({what})",
        "practice": "{where}: not on The Time Machine ({what})",
        "older": "{where}: results are not those of this run ({what})",
    },
}
