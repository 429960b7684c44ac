"""Words that carry no topic: a short list for each language that agentd recognises.

They are folded as `agentd.text.language.searchable` folds words, and to lower case. The lists contain articles,
pronouns, prepositions, conjunctions, auxiliaries and question words; a noun or a full verb is never among them.
"""

# ruff: noqa: RUF001 - characters of other scripts are meant
from __future__ import annotations

from typing import Final

ENGLISH = """
a about above after again against all also although am an and any are as at be because been before being below between
both but by can could did do does doing done down during each few for from further had has have having he her here
hers him his how i if in into is it its just me more most my no nor not now of off on once only or other our ours out
over own s same shall she should so some such t than that the their theirs them then there these they this those
through to too under until up upon us very was we were what when where whether which while who whom whose why will with
would you your yours
"""
GERMAN = """
aber alle allem allen aller alles als also am an andere anderen auch auf aus bei beim bin bis bist da dabei dadurch
damit dann darf das dass dein deine dem den denn der des dessen deren die dies diese diesem diesen dieser dieses doch
dort du durch ein eine einem einen einer eines er es etwas euch euer für gegen hat hatte hatten habe haben hier hinter
ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im in ins ist jede jedem jeden jeder jedes jetzt kann kein keine keinem
keinen können könnte man mehr mein meine mich mir mit muss müssen nach nicht noch nun nur ob oder ohne sehr sein seine
seinem seinen seiner seit sich sie sind so soll sollen sollte sondern über um und uns unser unter vom von vor wann war
waren warum was weil welche welchem welchen welcher welches wem wen wenn wer werde werden wessen weshalb wie wieso will
wir wird wirst wo wohin wurde wurden zu zum zur zwischen
"""
FRENCH = """
à ai alors après au aucun aura aussi autre aux avant avec avoir avons ce cela ces cet cette ceux chaque chez comment
d dans de depuis des donc du elle elles en encore entre es est et était étaient être eu eux fait faut il ils j je l la
laquelle le lequel les lesquels leur leurs lors lui m ma mais me même mes moi moins mon n ne ni nos notre nous on ont
ou où par pas pendant peu peut peuvent plus pour pourquoi qu quand que quel quelle quelles quels qui quoi s sa sans se
sera ses si soit son sont sous sur t ta te tes toi ton tous tout toute toutes très tu un une vers vos votre vous y
"""
SPANISH = """
a al algo alguna algunas alguno algunos ante antes aquel aquella así aún cada como cómo con contra cual cuál cuáles
cuando cuándo cuanto cuánto cuántos de del desde donde dónde dos durante e el él ella ellas ellos en entre era eran es
esa esas ese eso esos esta está están estas este esto estos fue fueron ha hace han hasta hay la las le les lo los más
me mi mis muy nada ni no nos nosotros o os otra otras otro otros para pero por porque puede pueden que qué quien quién
quiénes se sea ser si sí sido sin sobre son su sus también tan tanto te tiene tienen toda todas todo todos tu tus u un
una unas uno unos usted y ya yo
"""
ITALIAN = """
a agli ai al alla alle allo anche ancora avere c che chi ci ciò col come con contro cosa cui da dagli dai dal dalla
dalle dallo degli dei del dell della delle dello di dopo dove due durante e è ed era erano essere fa fra fu gli ha hai
hanno ho i il in io l la le lei li lo loro lui ma me mi mia mie miei mio molto ne negli nei nel nella nelle nello noi
non nostra nostro o ogni per perché perchè più può possono prima qual quale quali quando quanti quanto quella quelle
quelli quello questa queste questi questo qui se sei senza si sia siamo sono sopra sotto sta stata stati stato su sua
sue sui sul sulla sulle suo suoi te ti tra tu tutti tutto un una uno vi voi
"""
PORTUGUESE = """
a à ainda algum alguma alguns ante antes ao aos apenas aquela aquele aquilo as às até cada com como contra da das de
dela dele deles depois desde do dos durante e é ela elas ele eles em entre era eram essa esse esta está estão este
estes eu foi foram há isso isto já la lhe mais mas me mesmo meu minha muito na nas não nem no nos nós nossa nosso num
numa o onde os ou para pela pelas pelo pelos pode podem por porque porquê qual quais quando quanto quantos que quê quem
são se seja sem ser será seu seus sido sob sobre sua suas também tem têm ter toda todas todo todos tu tua um uma umas
uns você vocês
"""
DUTCH = """
aan al alle als altijd andere bij daar dan dat de deze die dit doch doen door dus een elk elke en er geen had hadden
heb hebben heeft hem het hier hij hoe hoeveel hun iets ik in is ja je kan kunnen kon maar me meer men met mij mijn moet
moeten na naar niet niets nog nu of om omdat onder ons onze ook op over te tegen toch toen tot u uit uw van veel voor
waar waarom wanneer want waren was wat we wel welk welke werd werden wie wij word worden wordt zal ze zelf zich zij
zijn zo zonder zou
"""
RUSSIAN = """
а без более бы был была были было быть в вам вас весь во вот все всего всех вы где да даже для до его ее ей ему
если есть еще же за здесь и из или им их к каждый как какая какие какого какой какую когда кого кому которая
которого которой которые который кто куда ли либо между меня мне много может можно мы на над надо нам нас не него нее
ней нет ни них но ну о об однако он она они оно от откуда перед по под после потому почему при про раз с сам свою
себя сейчас со так такая такие такой там те тебя тем то того тогда тоже той только том ты у уже хотя чего чей чем через
что чтобы эта эти это этого этой этом этот эту я
"""

STOP_WORDS: Final[dict[str, frozenset[str]]] = {
    name: frozenset(words.split())
    for name, words in {
        "english": ENGLISH,
        "german": GERMAN,
        "french": FRENCH,
        "spanish": SPANISH,
        "italian": ITALIAN,
        "portuguese": PORTUGUESE,
        "dutch": DUTCH,
        "russian": RUSSIAN,
    }.items()
}
"""Language -> its stop words; the languages' names are those of their Snowball stemmers."""

FRAME_WORDS: Final[dict[str, frozenset[str]]] = {
    name: frozenset(words.split())
    for name, words in {
        "english": "according another approximately called define describe exactly explain find generally get "
        "give happen happened happening happens know let list long mainly mean meaning means mentioned much many often "
        "please primarily say says show tell there typically use used using usually want",
        "german": "bedeutet beschreibe bitte erkläre erklären frage gibt geschieht heißt nenne passiert sage sagt "
        "zeige zeigen viel viele",
        "french": "décris donne explique montre passe peux question signifie veut dire",
        "spanish": "describe dime explica explícame muestra ocurre pasa pregunta significa sucede",
        "italian": "accade descrivi dimmi mostra significa spiega succede",
        "portuguese": "acontece descreva diga explique mostre significa",
        "dutch": "beschrijf betekent gebeurt heet leg noem toon vertel",
        "russian": "бывает значит называется объясни означает опиши покажи произойдет происходит расскажи "
        "скажи случается случится будет",
    }.items()
}
"""Language -> words that frame a question ("what happens", "explain") and need not be in its answer."""

CJK_FUNCTION = (
    "为什么 為什麼 什么时候 什麼時候 怎么样 怎麼樣 什么 什麼 怎么 怎麼 怎样 怎樣 如何 哪里 哪裡 哪个 哪個 哪些 "
    "多少 是否 可以 能否 请问 請問 时候 時候 的 了 吗 嗎 呢 吧 是 在 会 會 被 把 和 与 與 或 时 時 后 後 就 都 也 有 "
    "이 그 저 것"
).split()
"""Chinese words (and Korean ones between blanks) that ask or join; they are removed from a question."""
