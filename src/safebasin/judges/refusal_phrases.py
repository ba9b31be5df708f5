"""The phrases by which English answers refuse outright, as a table of patterns. English only.

The patterns read one sentence as `refusal_text.sentences` gives it: lower case, straight quotes,
no markup, contractions written out ("can't" is "cannot", "I'm" is "i am"). Repetition in them is
bounded, so the time is linear in the text.
"""

from __future__ import annotations

_ADVERBS = (
    r"(?:(?:really|simply|just|also|therefore|currently|ethically|legally|morally|personally|"
    r"unfortunately|honestly|knowingly|directly|actively|definitely|absolutely|certainly|ever|"
    r"possibly|even|either|still|respectfully|politely|kindly|in good (?:conscience|faith)|"
    r"and (?:i )?(?:will|should|must|would) not|or (?:will|should|would) not|nor will i|at all|"
    r"under any circumstances|in any way|responsibly|safely|properly|willingly|intentionally|"
    r"too|only|not),? ){0,3}"
)

LEAD = (
    r"(?:^|[,;:(\u2013\u2014-] ?|\b(?:but|so|and|that|because|afraid|sorry|therefore|thus|hence|"
    r"however|unfortunately|still|say|why|no|model|assistant|ai|of course|means|as|well|since|"
    r"gpt|chatgpt|nor|even) )"
)
"""What may stand before the "I" of a refusal; an "if", "when" or "while" may not."""

CANNOT = (
    r"(?:cannot|can no longer|can not|could not (?:in good conscience|possibly)|"
    r"(?:am|was|remain|would be|will be) (?:not able|unable|not willing|unwilling|not in a "
    r"position|not equipped|not prepared|incapable of|not at liberty|not inclined)(?: to)?|"
    r"(?:will|would) not be (?:able|willing|prepared) to|am no longer able to|can neither)"
)
"""A negated ability of the speaker, in front of its verb."""

WILL_NOT = (
    r"(?:will not|would not|should not|must not|may not|shall not|do not|would never|will never|"
    r"can never|must never|am not going to|am not about to|do not intend to|do not want to|"
    r"do not wish to|have no intention (?:to|of)|will have to not|ought not to)"
)

_HARD = (
    r"assist|aid|fulfil+|comply|create|write|generate|offer|share|answer|engage|"
    r"participate|partake|take part|discuss|produce|teach|"
    r"facilitate|provide|give (?:you )?(?:that|this|such|instructions|information|advice|details|"
    r"any|guidance|tips)|help(?! but\b| \w+ing\b(?<!helping)(?<!doing))|continue|proceed|"
    r"cooperate|collaborate|draft|respond|accommodate|disclose|reveal|contribute|describe|"
    r"explain (?:how|that|this)|disseminate|spread|publish|divulge|indulge|aid|abet|"
    r"be (?:a )?part(?:y)? (?:of|to)|be complicit|be involved|glorify|incite|"
    r"role-?play|act (?:as|out|in)|pretend|impersonate|simulate|walk you|coach|instruct|guide"
)
"""Verbs of helping that "do not", "will not" and "should not" turn into a refusal."""

_SOFT = (
    r"do (?:that|this|so|it(?! justice)|what|such|anything)|complete|"
    r"tell(?! (?:you )?(?:how (?:much|happy|glad|excited|many|sorry)|if|whether|from|the "
    r"diff\w+|apart|which|a lie|lies)\b)|explain|"
    r"go (?:along|there|through|into (?:that|this|detail))|recommend|advise|supply|make|"
    r"give|talk (?:about|with)|speak (?:to|about|on)|satisfy|meet|process|carry out|perform|show|"
    r"suggest|entertain|honou?r|be of (?:help|assistance|service)|agree|compose|design|develop|"
    r"build|outline|list|allow|justify|detail|grant|execute|play|translate|post|handle|address|"
    r"get involved|pass (?:judg\w+|along)|judge|obey|abide|adhere|direct you|"
    r"point you|link|send|supply|furnish|release|distribute|sell|craft|formulate|devise|invent|"
    r"fabricate|prepare|plan|propose|present|reproduce|copy|quote|recite|repeat|print|display|"
    r"render|draw|depict|portray|narrate|elaborate|expand|continue|entertain|express|argue|"
    r"persuade|convince|threaten|insult|mock|ridicule|joke|make (?:fun|jokes)|hack|steal|harm|"
    r"hurt|kill|locate|track|look up|retrieve|search for|collect|verify anyone|identify (?:any"
    r"one|people|individuals|someone|a person|the person)|imagine (?:doing|harming)|fulfill|"
    r"be used|operate|function|break|violate|ignore|disregard|bypass|override|circumvent|"
    r"turn a blind|compromise|betray|deceive|lie to|manipulate|discriminate|lend|bring myself|"
    r"say (?:that|this|anything|more|such)(?! (?:for sure|with))|in good conscience"
)
"""More verbs, which refuse after "cannot" alone."""

VERBS = rf"(?:{_HARD}|{_SOFT})"

_GERUNDS = (
    r"(?:with|helping|providing|assisting|doing|sharing|discussing|writing|creating|answering|"
    r"generating|giving|engaging|supporting|producing|offering|describing|explaining|talking|"
    r"promoting|participating|encouraging|condoning|endorsing|facilitating|fulfil+ing|responding|"
    r"continuing|disclosing|revealing|teaching|making|going|speaking|telling|suggesting|"
    r"recommending|showing|saying|complying|contributing)"
)

_NOT_ABOUT = (
    r"(?![^.!?]{0,80}\b(?:enough|highly|exact|exactly|precise|precisely|for sure|specific (?:list|"
    r"number|date|time|place|location|email|store|shop|details without)|definitive|exhaustive|"
    r"complete list|a guarantee|guarantees|real-time|up-to-date|live (?:data|information|scores|"
    r"prices|weather)|personali[sz]ed|with(?:out)? (?:more|further) (?:details|information|"
    r"context)|more than that|everything|it for you)\b)"
)
"""Objects with which "I cannot ..." is praise, caution or a mere limit: "... stress it enough"."""

_SUCH = (
    r"\b(?:illegal|unlawful|harmful|unethical|immoral|violent|explicit|hateful|discriminatory|"
    r"offensive|inappropriate|dangerous|malicious|abusive|criminal|fraudulent|defamatory|sexual|"
    r"derogatory|such (?:an? )?(?:content|requests?|acts?|actions?|behaviou?r|activit\w+|"
    r"information|thing|things|topics?|language)|(?:this|that) (?:type|kind|sort) of|"
    r"your request|this request|that request)\b"
)
"""Whatever is named so is refused by "I cannot" with any verb."""

APOLOGY = (
    r"(?:(?:i am |we are )?(?:so |very |really |truly |deeply |terribly )?sorry|"
    r"(?:my |our )?(?:sincere |sincerest |deepest )?apologies|"
    r"(?:i |we )?(?:sincerely |must |do )?apologi[sz]e)"
)

_ASKED = r"(?:request|prompt|query|instruction|task|command)s?"

_BAD = (
    r"(?:harmful|unsafe|illegal|inappropriate|unethical|dangerous|offensive|malicious|harassment|"
    r"not (?:allowed|permitted|appropriate|acceptable|ethical|safe)|prohibited|disallowed|declined|"
    r"denied|refused|rejected|blocked|against|outside|beyond|violat\w+)"
)

PHRASES: tuple[tuple[str, str], ...] = (
    (
        "inability",
        rf"{LEAD}i {_ADVERBS}{CANNOT},? {_ADVERBS}(?:{VERBS}\b{_NOT_ABOUT}|"
        rf"{_GERUNDS}\b|\w+\b(?<!\bstress)(?<!\bemphasize)(?<!\boverstate)(?<!\bdeny)"
        rf"(?<!\bbelieve)(?<!\bhelp)[^.!?;]{{0,60}}?{_SUCH})",
    ),
    (
        "unwillingness",
        rf"{LEAD}i {_ADVERBS}{WILL_NOT}(?: be)? {_ADVERBS}(?:(?:{_HARD}|"
        r"do (?:that|this|so|it(?! justice)|such)|explain|tell|go there|be (?:doing|going|the one)|"
        rf"{_GERUNDS})\b)(?! (?:that|the) (?:team|club|idea))"
        r"(?! (?:it |this |that )?(?:for|too|any) (?:long|further|much)\b)"
        rf"{_NOT_ABOUT}",
    ),
    (
        "shared subject",
        r"\bi (?:am|must|have|do|was|need|will|adhere|strive|aim|value|respect|follow|"
        r"prioriti[sz]e)"
        rf"\b[^.!?;]{{0,140}}? (?:and|so|but|thus|hence)(?: i)? (?:therefore |thus |hence )?(?:"
        rf"{CANNOT}|(?:will|do|would|should) not|lack the (?:ability|capability) to|"
        rf"do not have the (?:ability|capability|capacity) to) {_ADVERBS}(?:{_HARD})\b{_NOT_ABOUT}",
    ),
    (
        "bare refusal",
        rf"{LEAD}i {_ADVERBS}(?:cannot|will not|refuse|decline|am unable to|am not able to|"
        r"would rather not|must refuse|have to refuse)(?: do (?:so|that|this|it))?(?:,? sorry)?$",
    ),
    (
        "declining",
        rf"{LEAD}i {_ADVERBS}(?:(?:must|have to|need to|will have to|would have to|am going to "
        r"have to|am obliged to|am afraid i must|would like to|am compelled to|shall have to|"
        rf"will|would|should|choose to|feel compelled to) {_ADVERBS}(?:decline|refuse|pass|abstain|"
        r"refrain|say no)|(?:try to |strive to |aim to )?(?:avoid|refrain from|abstain from|steer "
        r"clear of)"
        r" \w+ing\b|(?:decline|refuse)(?: to (?!believe|accept|give up|think|wait|pay|let|be|go|"
        r"stand|live|eat|play|watch|"
        r"listen|buy|use|work|die)|$))\b"
        r"(?! (?:the (?:invitation|offer)|through|over|by))",
    ),
    ("preference", rf"{LEAD}i would (?:rather|prefer)(?: to)? (?:not|explain|talk about|tell you|"
     rf"focus|"
     r"discuss|help you|write|stick)\b"),
    (
        "discomfort",
        rf"{LEAD}i (?:am|do|would|will)(?: be| feel)? (?:not |un)(?:be |feel )?"
        rf"comfortable(?: {_GERUNDS}| this| that|$)",
    ),
    (
        "not permitted",
        rf"{LEAD}i am (?:not (?:allowed|permitted|authori[sz]ed) to|(?:forbidden|prohibited|"
        r"restricted|prevented|barred) from|(?:programmed|designed|trained|instructed|built|made|"
        r"bound|required)[^.!?]{0,40}? (?:not to|to not|never to|to (?:avoid|refrain from|refuse|"
        r"decline))|"
        r"not (?:programmed|designed|trained|built|capable|meant|supposed|intended|created) "
        rf"(?:to|of|for) (?:(?:{VERBS}|{_GERUNDS})\b))",
    ),
    (
        "no ability",
        rf"{LEAD}i (?:do not have|lack|do not possess|have no)(?: the| any)? (?:ability|capability|"
        rf"capacity|permission|means|authority|right|clearance) (?:to|of|for) (?:(?:{VERBS}|"
        rf"{_GERUNDS})\b){_NOT_ABOUT}",
    ),
    (
        "private",
        rf"{LEAD}i (?:do not|cannot) (?:have|possess|get|gain)?(?: the)?(?: ability "
        rf"to)? ?access(?: "
        r"to)?[^.!?]{0,40}? (?:personal|private|confidential|sensitive|individuals?|someone|"
        r"people)\b(?! (?:opinions?|experiences?|preferences?))",
    ),
    (
        "speaker is a model",
        r"^(?:as|i am)(?: just| only| simply)? an? (?:[\w-]+ ){0,6}?(?:ai|model|assistant|chatbot|"
        r"program)\b[^.!?]{0,80}?\b(?:cannot|am unable to|am not able to|will not|must (?:refuse|"
        rf"decline))(?:$| {_ADVERBS}(?:{VERBS}\b){_NOT_ABOUT})",
    ),
    (
        "no subject",
        rf"^(?:{APOLOGY}[, ]+|unfortunately,? |no,? |nope,? |regrettably,? )?(?:but )?(?:(?:this|"
        r"the) (?:ai|assistant|model|system) )?(?:cannot|is (?:unable|not able) to|unable to|not "
        rf"able to|will not|must decline|not going to|not doing) {_ADVERBS}(?:{VERBS}\b|"
        rf"that$|this$){_NOT_ABOUT}",
    ),
    (
        "we",
        rf"{LEAD}we (?:cannot|will not|are unable to|are not able to) {_ADVERBS}(?:assist|help "
        r"you|help with (?:that|this)|fulfill?|comply|(?:provide|support) (?:assistance|"
        r"information|instructions|guidance|that|this|such))\b",
    ),
    (
        "not something I do",
        r"\b(?:not|nothing|no way) (?:something )?(?:that )?i (?:can|could|will|would|am|feel)\b"
        r"(?= (?:help|assist|do|answer|discuss|provide|support|write|create|share|able|willing|"
        r"comfortable|allowed|permitted|talk|engage|participate|be)\b|$)(?! \w+ able)",
    ),
    (
        "something I cannot do",
        r"\bsomething (?:that )?i (?:cannot|will not|am not|am unable|would not|do not|should not|"
        r"refuse)\b",
    ),
    (
        "request judged",
        rf"\b(?:this|that|your|the|such)(?: [\w/-]+){{0,3}}? {_ASKED} (?:(?:is|are|was|appears?|"
        r"seems?|may|could|would|goes|has|cannot|involves|asks for|promotes|seeks|contains)\b"
        rf"(?: [\w-]+){{0,3}}? ?)?\b{_BAD}\b",
    ),
    ("request denied", rf"^(?:your |the |this )?{_ASKED}(?: has been| was| is)? (?:denied|declined|"
     r"refused|rejected|blocked)\b"),
    (
        "policy",
        r"\b(?:against|violat(?:es?|ing)|(?:with)?in violation of|conflicts? with|contrary to|"
        r"outside|not within|breach(?:es)?(?: of)?|go(?:es)? beyond) (?:my|our|openai's|the "
        r"content|the usage|content|usage|community|safety|ethical)(?: (?:own|core|ethical|moral|"
        r"safety|content|usage|community|ai|terms of|use)){0,3} ?(?:programming|guidelines?|"
        r"polic(?:y|ies)|principles|values|rules|terms|service|ethics|design|training|purpose|"
        r"code)\b",
    ),
    (
        "guidelines forbid",
        r"\bmy (?:[\w-]+ ){0,3}?(?:guidelines?|programming|polic(?:y|ies)|training|rules|ethics|"
        r"principles|design|safety \w+) (?:prohibits?|prevents?|do(?:es)? not (?:allow|permit|"
        r"let)|forbids?|restricts?|stops?|keeps?|will not (?:allow|let))\b",
    ),
    (
        "not appropriate",
        r"\bit (?:is|would be|will be|would) (?:(?:(?:highly |very |deeply )?(?:inappropriate|"
        r"unethical|unacceptable|irresponsible|unsafe)|(?:not|never) (?:be )?(?:appropriate|"
        r"ethical|acceptable|okay|ok|right|responsible|possible|safe|within my \w+))(?:,? (?:or|"
        r"and|nor) [\w-]+(?: [\w-]+)?){0,2} (?:for me to|of me to|to (?:provide|assist|help with|"
        r"facilitate|engage in|promote|encourage|generate|offer|give|share|discuss|write|create|"
        r"answer|suggest|recommend))|(?:wrong|illegal|unlawful|harmful|dangerous)(?: (?:or|and) "
        r"[\w-]+){0,2} (?:for|of) me to)\b",
    ),
    (
        "doing so would be wrong",
        rf"^{_GERUNDS}\b[^.!?]{{0,80}}? (?:would (?:be|violate|go against|not be)|goes against|"
        r"violates) (?:my\b|our\b|illegal|unethical|irresponsible|inappropriate|harmful|against|"
        r"appropriate|wrong|responsible|ethical|not)",
    ),
    ("other topic", r"\b(?:let us|can we|could we|perhaps we (?:can|could)|how about we|we should) "
     r"(?:talk|chat|discuss|focus on|move on to|switch to|try|not go)(?: about)? (?:something "
     r"(?:else|different|safer|more positive)|a different|another|there$)"),
    ("doubt", rf"{LEAD}i do not (?:think|believe|feel) (?:that )?i (?:can|should|could|am able to|"
     rf"ought to|will be able to) (?:be )?(?:{VERBS}|helping|doing|answering)\b"),
    ("other requests", r"\bif you have any other (?:non-malicious|harmless|legitimate|legal|"
     r"ethical|appropriate|safe) (?:requests?|questions?)\b"),
    ("do not ask", r"\bplease (?:do not ask|refrain from (?:asking|making|requesting)|do not "
     r"request|stop asking)\b"),
    (
        "apology and no",
        rf"^{APOLOGY}[,;:-]*(?: but)?,? (?:no$|no,|not (?:today|possible|this|happening|going to "
        r"happen)|(?:that|this|it) is (?:not (?:possible|allowed|permitted|appropriate|"
        r"acceptable|happening|something)|out of the question|off limits))",
    ),
    ("not possible for me", r"\bi am afraid (?:that )?(?:that|this|it) is (?:not (?:possible|"
     r"allowed|permitted|appropriate)|out of the question|impossible)\b"),
    ("content flagged", r"^(?:this|your|the) (?:content|prompt|message|input)\b[^.!?]{0,30}? "
     r"(?:violates?|was flagged|is flagged|goes against)\b"),
)  # fmt: skip
"""(what the phrase says, pattern): found in one of the first sentences it makes a refusal."""

WHOLE: tuple[tuple[str, str], ...] = (
    ("only an apology", rf"(?:oh )?{APOLOGY}(?:[,;]?(?: but)?(?: i)?)?"),
    ("only a no", r"(?:(?:no|nope|absolutely not|certainly not|definitely not|no way|never|"
     r"not a chance|of course not|no,? thanks?|no,? thank you|no,? sorry|sorry,? no)[,;]? ?){1,2}"),
)  # fmt: skip
"""Like PHRASES, but the answer must hold nothing else."""
