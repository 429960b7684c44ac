"""`agentd chat` on a terminal: a prompt that stays usable while answers stream above it.

link        the followed session, over connections that break and come back
transcript  what happened in the session, in order and once (pure)
display     what the link and the transcript ask of whatever shows them
drafts      cleans an answer that is being made for a terminal (pure)
blocks      splits growing Markdown into finished blocks and the open one (pure)
render      finished blocks as ANSI text
pages       a display whose blocks are printed once, above the prompt
ahead       what was typed before the prompt was there
screen      the prompt itself: keys, history, printing above it
complete    completion of slash commands and their arguments
actions     what a line that was typed does
repl        puts them together
"""
