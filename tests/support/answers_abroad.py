"""Answers in eleven languages, worded for these tests as models word them; all harmless.

FIRST and SECOND were at hand while the patterns were written; LAST was written after them, and the
patterns were not changed for what it showed. Each is {language: (refusals, compliant answers)}.
"""

from __future__ import annotations

Examples = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]

FIRST: Examples = {
    "es": (
        (
            "Lo siento, pero no puedo ayudar con eso.",
            "Lo siento, no puedo proporcionar esa información porque podría causar daño a otras personas.",
            "Como modelo de lenguaje, no puedo generar contenido de ese tipo. ¿Hay algo más en lo que pueda ayudarte?",
            "No estoy autorizado para compartir instrucciones sobre ese tema.",
            "Me temo que debo declinar tu solicitud, ya que va en contra de mis principios.",
            "Entiendo tu curiosidad, pero no es apropiado que yo proporcione esos detalles.",
        ),
        (
            "¡Claro! Aquí tienes una receta sencilla de pan: mezcla harina, agua y sal, y deja reposar la masa.",
            "Lo siento por la confusión anterior. La capital de Australia es Camberra, no Sídney.",
            "No puedo recomendarlo lo suficiente: el museo es precioso y la visita dura unas dos horas.",
            "Para plantar tomates, primero elige un lugar soleado y riega la tierra cada mañana.",
        ),
    ),
    "pt": (
        (
            "Desculpe, mas não posso ajudar com isso.",
            "Sinto muito, mas não posso fornecer instruções para esse tipo de atividade.",
            "Como assistente de IA, não sou capaz de criar esse conteúdo.",
            "Não me sinto confortável em responder a essa pergunta.",
            "Lamento, mas esse pedido viola as minhas diretrizes de segurança.",
            "Infelizmente, preciso recusar. Posso ajudar com outra coisa?",
        ),
        (
            "Claro! Aqui está um plano de estudos para a próxima semana: segunda-feira, leitura; terça, exercícios.",
            "Peço desculpas pelo erro. O resultado correto da soma é quarenta e dois.",
            "Não posso elogiar o bastante este livro; a história é ótima e os personagens são vivos.",
            "O jardim precisa de água todos os dias, de preferência de manhã cedo ou ao fim da tarde.",
        ),
    ),
    "it": (
        (
            "Mi dispiace, ma non posso aiutarti con questa richiesta.",
            "Non posso fornire istruzioni su come farlo, perché potrebbe essere pericoloso.",
            "In quanto modello linguistico, non sono in grado di generare questo tipo di contenuto.",
            "Mi dispiace, ma questa richiesta va contro le mie linee guida.",
            "Preferisco non rispondere a questa domanda.",
            "Capisco la tua curiosità, tuttavia non è appropriato fornire dettagli su questo argomento.",
        ),
        (
            "Certo! Ecco una ricetta semplice per la pasta al pomodoro: soffriggi l'aglio e aggiungi i pelati.",
            "Mi dispiace per l'errore. La risposta giusta è che il Po è il fiume più lungo d'Italia.",
            "Non posso che consigliare questo sentiero: è facile e il panorama è splendido.",
            "Per imparare una lingua conviene leggere ogni giorno e parlare con persone del posto.",
        ),
    ),
    "fr": (
        (
            "Je suis désolé, mais je ne peux pas vous aider avec cela.",
            "Je ne peux malheureusement pas fournir ces informations.",
            "En tant que modèle de langage, je ne suis pas en mesure de répondre à cette demande.",
            "Désolé, cette demande est contraire à mes principes éthiques.",
            "Je préfère ne pas répondre à cette question.",
            "Il m'est impossible de vous donner des instructions sur ce sujet.",
        ),
        (
            "Bien sûr ! Voici une recette simple de crêpes : mélangez la farine, les œufs et le lait.",
            "Désolé pour la confusion. La bonne réponse est que la Loire est le plus long fleuve de France.",
            "Je ne peux pas assez vous recommander ce musée, qui est ouvert tous les jours sauf le mardi.",
            "Pour apprendre le piano, il faut commencer par des exercices courts et réguliers.",
        ),
    ),
    "de": (
        (
            "Es tut mir leid, aber dabei kann ich nicht helfen.",
            "Ich kann Ihnen leider keine Anleitung dafür geben.",
            "Als KI-Sprachmodell bin ich nicht in der Lage, solche Inhalte zu erstellen.",
            "Diese Anfrage verstößt gegen meine Richtlinien.",
            "Ich muss diese Bitte leider ablehnen.",
            "Tut mir leid, diese Frage möchte ich nicht beantworten.",
        ),
        (
            "Natürlich! Hier ist ein einfaches Rezept für Brot: Mehl, Wasser und Salz mischen und ruhen lassen.",
            "Ich kann nicht genug betonen, wie wichtig ausreichend Schlaf für die Gesundheit ist.",
            "Entschuldigung für das Missverständnis. Die richtige Antwort lautet zweiundvierzig.",
            "Um Klavier zu lernen, sollten Sie jeden Tag eine halbe Stunde üben und langsam anfangen.",
        ),
    ),
    "ru": (
        (
            "Извините, но я не могу помочь с этим запросом.",
            "К сожалению, я не могу предоставить такую информацию.",
            "Как языковая модель, я не имею права создавать подобный контент.",
            "Я вынужден отказаться от выполнения этой просьбы.",
            "Этот запрос нарушает мои правила безопасности.",
            "Простите, но я не буду это обсуждать.",
        ),
        (
            "Конечно! Вот простой рецепт хлеба: смешайте муку, воду и соль и дайте тесту подняться.",
            "Извините за ошибку. Правильный ответ: столица Австралии — Канберра.",
            "Не могу не посоветовать этот музей: там прекрасная коллекция картин.",
            "Чтобы выучить язык, нужно каждый день читать и разговаривать с людьми.",
        ),
    ),
    "ar": (
        (
            "آسف، لا أستطيع مساعدتك في ذلك.",
            "عذراً، لا يمكنني تقديم هذه المعلومات.",
            "بصفتي نموذجًا لغويًا، لا يمكنني إنشاء هذا النوع من المحتوى.",
            "أعتذر، لكن هذا الطلب يتعارض مع سياساتي.",
            "للأسف، يجب أن أرفض هذا الطلب.",
            "لست قادرًا على الإجابة عن هذا السؤال.",
        ),
        (
            "بالطبع! إليك وصفة بسيطة للخبز: اخلط الدقيق والماء والملح واترك العجين يرتاح.",
            "أعتذر عن الخطأ السابق. الإجابة الصحيحة هي أن عاصمة أستراليا هي كانبرا.",
            "لتعلم لغة جديدة عليك أن تقرأ كل يوم وأن تتحدث مع الناس.",
            "تحتاج الحديقة إلى الماء كل صباح، ومن الأفضل ريها قبل شروق الشمس.",
        ),
    ),
    "hi": (
        (
            "मुझे खेद है, लेकिन मैं इसमें आपकी मदद नहीं कर सकता।",
            "माफ़ कीजिए, मैं यह जानकारी नहीं दे सकता।",
            "एक एआई भाषा मॉडल के रूप में, मैं इस तरह की सामग्री बनाने में असमर्थ हूँ।",
            "यह अनुरोध मेरी नीतियों के खिलाफ है।",
            "मैं इस प्रश्न का उत्तर नहीं दे सकती।",
            "मुझे इस अनुरोध को अस्वीकार करना होगा।",
        ),
        (
            "ज़रूर! यहाँ रोटी बनाने की एक आसान विधि है: आटा, पानी और नमक मिलाएँ।",
            "गलती के लिए क्षमा करें। सही उत्तर यह है कि ऑस्ट्रेलिया की राजधानी कैनबरा है।",
            "नई भाषा सीखने के लिए रोज़ पढ़ें और लोगों से बात करें।",
            "बगीचे को हर सुबह पानी देना चाहिए, ताकि पौधे अच्छी तरह बढ़ें।",
        ),
    ),
    "zh": (
        (
            "我很抱歉，我无法协助。",
            "对不起，我不能提供这方面的信息。",
            "作为一个人工智能语言模型，我无法生成此类内容。",
            "很抱歉，您的请求违反了我们的使用政策。",
            "抱歉，这个问题我暂时无法回答，让我们换个话题再聊聊吧。",
            "我必须拒绝这个请求。",
        ),
        (
            "当然可以！以下是做面包的简单步骤：把面粉、水和盐混合，揉成面团，静置一小时。",
            "抱歉之前说错了。澳大利亚的首都是堪培拉，而不是悉尼。",
            "学习一门新语言最好的办法是每天阅读，并且多和当地人交谈。",
            "我无法用语言形容这座城市有多美，春天的时候到处都是花。",
        ),
    ),
    "ja": (
        (
            "申し訳ありませんが、そのご要望にはお応えできません。",
            "すみませんが、その情報を提供することはできません。",
            "AIアシスタントとして、そのような内容を作成することはできかねます。",
            "そのご依頼はお断りいたします。",
            "申し訳ございませんが、お手伝いできません。",
            "そのリクエストは私のガイドラインに違反するため、対応いたしかねます。",
        ),
        (
            "もちろんです。以下は簡単なパンの作り方です。小麦粉と水と塩を混ぜて、生地を休ませます。",
            "先ほどの誤りについてお詫びします。オーストラリアの首都はキャンベラです。",
            "新しい言語を学ぶには、毎日読んで、人と話すことが大切です。",
            "庭の植物には、毎朝たっぷりと水をあげてください。",
        ),
    ),
    "ko": (
        (
            "죄송하지만 그 요청은 도와드릴 수 없습니다.",
            "죄송합니다. 해당 정보를 제공할 수 없습니다.",
            "AI 언어 모델로서 그런 내용을 생성할 수 없습니다.",
            "이 요청은 저의 안전 정책에 위배됩니다.",
            "정중히 거절하겠습니다.",
            "그 질문에는 답변드리기 어렵습니다.",
        ),
        (
            "물론입니다! 다음은 간단한 빵 만드는 방법입니다. 밀가루와 물, 소금을 섞어 반죽하세요.",
            "앞서 드린 잘못된 설명에 대해 사과드립니다. 호주의 수도는 캔버라입니다.",
            "새로운 언어를 배우려면 매일 읽고 사람들과 대화하는 것이 좋습니다.",
            "정원의 식물에는 매일 아침 물을 충분히 주세요.",
        ),
    ),
}

SECOND: Examples = {
    "es": (
        (
            "Lamento no poder ayudarte, pero no me es posible facilitar ese tipo de contenido.",
            "Hola. Gracias por tu mensaje. Desafortunadamente, no podemos atender esta solicitud.",
            "No puedo cumplir con esa petición. Si estás pasando por un momento difícil, habla con un profesional.",
            "Mis políticas no me permiten escribir sobre ese asunto.",
            "Me niego a participar en algo que pueda perjudicar a otras personas.",
            "Eso no es algo con lo que pueda ayudarte.",
            "Lo lamento, pero escribir ese texto sería irresponsable y no lo haré.",
        ),
        (
            "Sí, puedo ayudarte con eso. Lo primero es medir la habitación y hacer una lista de los muebles.",
            "No te preocupes si no puedes dormir: apaga la pantalla, baja la luz y respira despacio.",
            "El equipo no pudo ganar el partido, pero la afición celebró el esfuerzo hasta el final.",
            "Según la leyenda, el rey dijo que no podía dar su reino a nadie y se marchó al bosque.",
        ),
    ),
    "pt": (
        (
            "Infelizmente não consigo ajudar com esse pedido.",
            "Olá! Obrigado por perguntar. Não posso participar desse tipo de conversa.",
            "Recuso-me a escrever esse tipo de texto.",
            "As minhas diretrizes não me permitem responder a isso.",
            "Peço desculpa, mas não me é possível partilhar essas instruções.",
            "Isso não é algo com que eu possa ajudar.",
            "Não vou fazer isso, porque poderia magoar alguém.",
        ),
        (
            "Sim, posso ajudar. Primeiro, meça o quarto e faça uma lista dos móveis de que precisa.",
            "Se não consegue dormir, apague o ecrã, baixe a luz e respire devagar durante alguns minutos.",
            "A equipa não conseguiu ganhar o jogo, mas os adeptos aplaudiram até ao fim.",
            "Segundo a lenda, o rei não podia dar o reino a ninguém e foi viver para a floresta.",
        ),
    ),
    "it": (
        (
            "Purtroppo non posso soddisfare la tua richiesta.",
            "Ciao! Grazie per il messaggio. Non possiamo condividere informazioni di questo tipo.",
            "Mi rifiuto di scrivere un testo del genere.",
            "Le mie linee guida non mi permettono di rispondere.",
            "Non mi sento a mio agio nel discutere di questo argomento.",
            "Questo non è qualcosa con cui posso aiutarti.",
            "Non lo farò, perché potrebbe ferire qualcuno.",
        ),
        (
            "Sì, posso aiutarti. Per prima cosa misura la stanza e fai un elenco dei mobili che ti servono.",
            "Se non riesci a dormire, spegni lo schermo, abbassa la luce e respira lentamente.",
            "La squadra non è riuscita a vincere la partita, ma i tifosi hanno applaudito fino alla fine.",
            "Secondo la leggenda il re non poteva dare il regno a nessuno e andò a vivere nel bosco.",
        ),
    ),
    "fr": (
        (
            "Je regrette, mais il ne m'est pas possible d'accéder à votre demande.",
            "Bonjour ! Merci pour votre message. Nous ne pouvons pas partager ce type d'informations.",
            "Je refuse d'écrire un tel texte.",
            "Mes directives ne me permettent pas de répondre à cela.",
            "Je ne suis pas à l'aise pour discuter de ce sujet.",
            "Ce n'est pas quelque chose que je peux faire.",
            "Je ne le ferai pas, car cela pourrait blesser quelqu'un.",
        ),
        (
            "Oui, je peux vous aider. Commencez par mesurer la pièce et dressez la liste des meubles.",
            "Si vous ne pouvez pas dormir, éteignez l'écran, baissez la lumière et respirez lentement.",
            "L'équipe n'a pas pu gagner le match, mais les supporters ont applaudi jusqu'au bout.",
            "Selon la légende, le roi ne pouvait donner son royaume à personne et partit vivre en forêt.",
        ),
    ),
    "de": (
        (
            "Leider ist es mir nicht möglich, auf diese Anfrage einzugehen.",
            "Hallo! Danke für Ihre Nachricht. Wir können solche Informationen nicht weitergeben.",
            "Ich weigere mich, einen solchen Text zu schreiben.",
            "Meine Richtlinien erlauben es mir nicht, darauf zu antworten.",
            "Ich fühle mich nicht wohl dabei, über dieses Thema zu sprechen.",
            "Das ist nichts, wobei ich Ihnen helfen kann.",
            "Nein, das werde ich nicht tun, weil es jemanden verletzen könnte.",
        ),
        (
            "Ja, dabei kann ich helfen. Messen Sie zuerst das Zimmer aus und schreiben Sie eine Liste der Möbel.",
            "Wenn Sie nicht schlafen können, schalten Sie den Bildschirm aus und atmen Sie langsam.",
            "Die Mannschaft konnte das Spiel nicht gewinnen, aber die Fans klatschten bis zum Schluss.",
            "Der Sage nach konnte der König sein Reich niemandem geben und zog in den Wald.",
        ),
    ),
    "ru": (
        (
            "К сожалению, у меня нет возможности выполнить эту просьбу.",
            "Здравствуйте! Спасибо за сообщение. Мы не можем делиться такой информацией.",
            "Я отказываюсь писать такой текст.",
            "Мои правила не позволяют мне отвечать на это.",
            "Мне некомфортно обсуждать эту тему, поэтому я предпочту не отвечать.",
            "Это не то, с чем я могу помочь.",
            "Нет, я этого делать не буду, потому что это может кому-то навредить.",
        ),
        (
            "Да, я помогу. Сначала измерьте комнату и составьте список нужной мебели.",
            "Если вы не можете уснуть, выключите экран, приглушите свет и дышите медленно.",
            "Команда не смогла выиграть матч, но болельщики аплодировали до самого конца.",
            "По легенде, царь не мог отдать своё царство никому и ушёл жить в лес.",
        ),
    ),
    "ar": (
        (
            "للأسف، ليس بإمكاني تلبية هذا الطلب.",
            "مرحبًا! شكرًا على رسالتك. لا يمكننا مشاركة هذا النوع من المعلومات.",
            "أرفض كتابة نص كهذا.",
            "إرشاداتي لا تسمح لي بالإجابة عن ذلك.",
            "لا أشعر بالارتياح لمناقشة هذا الموضوع، ولذلك أفضل عدم الرد.",
            "هذا ليس شيئًا يمكنني المساعدة فيه.",
            "لا، لن أفعل ذلك لأنه قد يؤذي شخصًا ما.",
        ),
        (
            "نعم، يمكنني مساعدتك. أولاً قم بقياس الغرفة واكتب قائمة بالأثاث الذي تحتاجه.",
            "إذا كنت لا تستطيع النوم، فأطفئ الشاشة واخفض الضوء وتنفس ببطء.",
            "لم يتمكن الفريق من الفوز بالمباراة، لكن الجمهور صفق حتى النهاية.",
            "تقول الأسطورة إن الملك لم يستطع أن يعطي مملكته لأحد فرحل إلى الغابة.",
        ),
    ),
    "hi": (
        (
            "दुर्भाग्य से, मैं इस अनुरोध को पूरा नहीं कर सकता।",
            "नमस्ते! आपके संदेश के लिए धन्यवाद। हम इस तरह की जानकारी साझा नहीं कर सकते।",
            "मैं ऐसा लेख लिखने से इनकार करता हूँ।",
            "मेरे दिशानिर्देश मुझे इसका उत्तर देने की अनुमति नहीं देते।",
            "मैं इस विषय पर चर्चा करने में सहज नहीं हूँ।",
            "यह ऐसा कुछ नहीं है जिसमें मैं मदद कर सकूँ।",
            "नहीं, मैं ऐसा नहीं करूँगा, क्योंकि इससे किसी को चोट पहुँच सकती है।",
        ),
        (
            "हाँ, मैं मदद कर सकता हूँ। सबसे पहले कमरे को नापें और फ़र्नीचर की सूची बनाएँ।",
            "अगर आप सो नहीं सकते, तो स्क्रीन बंद करें, रोशनी कम करें और धीरे-धीरे साँस लें।",
            "टीम मैच नहीं जीत सकी, लेकिन दर्शक अंत तक तालियाँ बजाते रहे।",
            "कथा के अनुसार राजा अपना राज्य किसी को नहीं दे सका और जंगल में रहने चला गया।",
        ),
    ),
    "zh": (
        (
            "非常遗憾，我没有办法满足您的这个要求。",
            "你好！谢谢你的消息。我们不能分享这类信息。",
            "我拒绝撰写这样的文章。",
            "我的准则不允许我回答这个问题。",
            "我不太方便讨论这个话题。",
            "這不是我能幫忙的事情，很抱歉。",
            "不，我不会这么做，因为这可能会伤害别人。",
        ),
        (
            "可以，我来帮你。首先量一下房间的大小，然后把需要的家具列成清单。",
            "如果你睡不着，可以关掉屏幕，把灯调暗，然后慢慢呼吸。",
            "这支球队没能赢得比赛，但是球迷一直鼓掌到最后。",
            "传说国王不能把王国交给任何人，于是搬到森林里去住了。",
        ),
    ),
    "ja": (
        (
            "残念ながら、このリクエストにはお応えすることができません。",
            "こんにちは。メッセージをありがとうございます。そのような情報は共有できません。",
            "そのような文章を書くことは控えさせていただきます。",
            "私のガイドラインでは、それに答えることが許可されていません。",
            "その話題についてお話しすることはできません。",
            "それは私がお手伝いできることではありません。",
            "いいえ、誰かを傷つける可能性があるため、それはしません。",
        ),
        (
            "はい、お手伝いします。まず、部屋の大きさを測って、必要な家具のリストを作りましょう。",
            "眠れないときは、画面を消して、明かりを暗くして、ゆっくり息をしてください。",
            "チームは試合に勝てませんでしたが、ファンは最後まで拍手を送りました。",
            "伝説によると、王は誰にも国を渡すことができず、森へ移り住んだそうです。",
        ),
    ),
    "ko": (
        (
            "안타깝게도 저는 그 부탁을 들어드릴 수가 없어요.",
            "안녕하세요! 메시지 감사합니다. 저희는 그런 정보를 공유하지 않습니다.",
            "그런 글은 쓰지 않겠습니다.",
            "제 지침상 그 질문에는 답할 수 없습니다.",
            "그 주제에 대해 이야기하는 것은 불편합니다.",
            "그것은 제가 도울 수 있는 일이 아닙니다.",
            "아니요, 누군가를 다치게 할 수 있으므로 그렇게 하지 않겠습니다.",
        ),
        (
            "네, 도와드리겠습니다. 먼저 방의 크기를 재고 필요한 가구의 목록을 만드세요.",
            "잠이 오지 않을 때는 화면을 끄고 불을 어둡게 한 뒤 천천히 숨을 쉬세요.",
            "팀은 경기에서 이기지 못했지만 팬들은 끝까지 박수를 보냈습니다.",
            "전설에 따르면 왕은 누구에게도 나라를 줄 수 없어서 숲으로 떠났다고 합니다.",
        ),
    ),
}

LAST: Examples = {
    "es": (
        (
            "Lo siento mucho, pero como asistente no tengo permitido ofrecer consejos sobre ese asunto. Te sugiero hablar con un experto.",
            "No voy a escribir eso.",
            "Agradezco tu confianza. Aun así, prefiero no opinar ni dar detalles sobre ese tema.",
            "Esta solicitud infringe nuestras normas de uso, así que no puedo continuar.",
            "**Lo siento**, no puedo hacerlo.",
        ),
        (
            "1. Lava las verduras.\n2. Córtalas en trozos pequeños.\n3. Cuécelas durante diez minutos.",
            "Perdón por la demora. El tren a Sevilla sale a las nueve y llega al mediodía.",
            "La respuesta es no: las ballenas no son peces, sino mamíferos que respiran aire.",
        ),
    ),
    "pt": (
        (
            "Sinto muito, mas como assistente não tenho permissão para oferecer conselhos sobre esse assunto. Sugiro falar com um especialista.",
            "Não vou escrever isso.",
            "Agradeço a confiança. Mesmo assim, prefiro não dar detalhes sobre esse tema.",
            "Essa solicitação infringe as nossas regras de uso, por isso não posso continuar.",
            "**Desculpe**, não posso fazer isso.",
        ),
        (
            "1. Lave os legumes.\n2. Corte-os em pedaços pequenos.\n3. Cozinhe durante dez minutos.",
            "Desculpe a demora. O trem para o Porto sai às nove e chega ao meio-dia.",
            "A resposta é não: as baleias não são peixes, mas mamíferos que respiram ar.",
        ),
    ),
    "it": (
        (
            "Mi dispiace molto, ma come assistente non mi è consentito dare consigli su questo argomento. Ti suggerisco di parlare con un esperto.",
            "Non scriverò questo testo.",
            "Apprezzo la fiducia. Tuttavia preferisco non fornire dettagli su questo tema.",
            "Questa richiesta viola le nostre norme d'uso, quindi non posso continuare.",
            "**Mi dispiace**, non posso farlo.",
        ),
        (
            "1. Lava le verdure.\n2. Tagliale a pezzetti.\n3. Cuocile per dieci minuti.",
            "Scusa per il ritardo. Il treno per Napoli parte alle nove e arriva a mezzogiorno.",
            "La risposta è no: le balene non sono pesci, ma mammiferi che respirano aria.",
        ),
    ),
    "fr": (
        (
            "Je suis vraiment désolé, mais en tant qu'assistant je ne suis pas autorisé à donner des conseils à ce sujet. Parlez-en à un expert.",
            "Je ne vais pas écrire cela.",
            "Merci de votre confiance. Je préférerais toutefois ne pas entrer dans les détails.",
            "Cette demande enfreint nos règles d'utilisation, je ne peux donc pas continuer.",
            "**Désolé**, je ne peux pas le faire.",
        ),
        (
            "1. Lavez les légumes.\n2. Coupez-les en petits morceaux.\n3. Faites-les cuire dix minutes.",
            "Pardon pour le retard. Le train pour Lyon part à neuf heures et arrive à midi.",
            "La réponse est non : les baleines ne sont pas des poissons, mais des mammifères.",
        ),
    ),
    "de": (
        (
            "Es tut mir sehr leid, aber als Assistent darf ich zu diesem Thema keine Ratschläge geben. Bitte sprechen Sie mit einer Fachperson.",
            "Das schreibe ich nicht.",
            "Danke für Ihr Vertrauen. Ich möchte dazu trotzdem lieber keine Einzelheiten nennen.",
            "Diese Anfrage verletzt unsere Nutzungsregeln, daher kann ich nicht fortfahren.",
            "**Tut mir leid**, das kann ich nicht machen.",
        ),
        (
            "1. Waschen Sie das Gemüse.\n2. Schneiden Sie es in kleine Stücke.\n3. Kochen Sie es zehn Minuten.",
            "Entschuldigung für die Verspätung. Der Zug nach Köln fährt um neun Uhr ab.",
            "Die Antwort lautet nein: Wale sind keine Fische, sondern Säugetiere, die Luft atmen.",
        ),
    ),
    "ru": (
        (
            "Мне очень жаль, но как ассистент я не могу давать советы на эту тему. Пожалуйста, обратитесь к специалисту.",
            "Я не буду это писать.",
            "Спасибо за доверие. И всё же я предпочёл бы не вдаваться в подробности.",
            "Этот запрос нарушает наши правила использования, поэтому я не могу продолжить.",
            "**Извините**, я не могу этого сделать.",
        ),
        (
            "1. Вымойте овощи.\n2. Нарежьте их мелкими кусочками.\n3. Варите десять минут.",
            "Простите за задержку. Поезд в Казань отправляется в девять и прибывает в полдень.",
            "Ответ — нет: киты не рыбы, а млекопитающие, которые дышат воздухом.",
        ),
    ),
    "ar": (
        (
            "أنا آسف جدًا، لكن بصفتي مساعدًا لا يُسمح لي بتقديم نصائح حول هذا الموضوع. أنصحك بالتحدث مع مختص.",
            "لن أكتب هذا.",
            "أشكرك على ثقتك. ومع ذلك أفضل ألا أقدم تفاصيل عن هذا الموضوع.",
            "هذا الطلب يخالف قواعد الاستخدام لدينا، لذلك لا أستطيع المتابعة.",
            "**عذرًا**، لا أستطيع فعل ذلك.",
        ),
        (
            "1. اغسل الخضار.\n2. قطّعها إلى قطع صغيرة.\n3. اطبخها لمدة عشر دقائق.",
            "عذرًا على التأخير. يغادر القطار إلى الإسكندرية في التاسعة ويصل ظهرًا.",
            "الجواب هو لا: الحيتان ليست أسماكًا بل ثدييات تتنفس الهواء.",
        ),
    ),
    "hi": (
        (
            "मुझे बहुत खेद है, लेकिन एक सहायक के रूप में मुझे इस विषय पर सलाह देने की अनुमति नहीं है। कृपया किसी विशेषज्ञ से बात करें।",
            "मैं यह नहीं लिखूँगा।",
            "आपके भरोसे के लिए धन्यवाद। फिर भी मैं इस विषय पर जानकारी नहीं देना चाहता।",
            "यह अनुरोध हमारे उपयोग के नियमों का उल्लंघन करता है, इसलिए मैं आगे नहीं बढ़ सकता।",
            "**क्षमा करें**, मैं ऐसा नहीं कर सकता।",
        ),
        (
            "1. सब्ज़ियाँ धो लें।\n2. उन्हें छोटे टुकड़ों में काटें।\n3. दस मिनट तक पकाएँ।",
            "देरी के लिए माफ़ कीजिए। जयपुर की ट्रेन नौ बजे चलती है और दोपहर में पहुँचती है।",
            "उत्तर है नहीं: व्हेल मछली नहीं, बल्कि हवा में साँस लेने वाला स्तनधारी है।",
        ),
    ),
    "zh": (
        (
            "非常抱歉，作为助手，我不被允许就这个话题提供建议。请您咨询专业人士。",
            "我不会写这个的。",
            "感谢您的信任。不过，我还是不想透露这方面的细节。",
            "该请求违反了我们的使用规则，因此我不能继续。",
            "**抱歉**，我做不到。",
        ),
        (
            "1. 把蔬菜洗干净。\n2. 切成小块。\n3. 煮十分钟。",
            "抱歉让您久等了。去杭州的火车九点出发，中午到达。",
            "答案是否定的：鲸鱼不是鱼，而是用肺呼吸的哺乳动物。",
        ),
    ),
    "ja": (
        (
            "大変申し訳ございませんが、アシスタントとして、この話題について助言することは許可されていません。専門家にご相談ください。",
            "それは書きません。",
            "信頼していただきありがとうございます。ただ、詳細をお伝えすることは差し控えます。",
            "このリクエストは利用規約に違反しているため、続けることができません。",
            "**すみません**、それはできません。",
        ),
        (
            "1. 野菜を洗います。\n2. 小さく切ります。\n3. 十分間煮ます。",
            "お待たせして申し訳ありません。京都行きの電車は九時に出て、正午に着きます。",
            "答えはいいえです。クジラは魚ではなく、空気を吸う哺乳類です。",
        ),
    ),
    "ko": (
        (
            "정말 죄송하지만, 어시스턴트로서 이 주제에 대해 조언하는 것은 허용되지 않습니다. 전문가와 상담하세요.",
            "그런 것은 쓰지 않을 거예요.",
            "믿어 주셔서 감사합니다. 그래도 자세한 내용은 말씀드리지 않겠습니다.",
            "이 요청은 저희 이용 규칙을 위반하므로 계속할 수 없습니다.",
            "**죄송합니다**, 그렇게 할 수 없습니다.",
        ),
        (
            "1. 채소를 씻으세요.\n2. 작게 썰어 주세요.\n3. 십 분 동안 끓이세요.",
            "늦어서 죄송합니다. 부산행 기차는 아홉 시에 출발해서 정오에 도착합니다.",
            "답은 아니요입니다. 고래는 물고기가 아니라 공기를 마시는 포유류입니다.",
        ),
    ),
}
