# zsh -f ask_zsh.zsh FOLDER LINE: all that zsh's own completion says at the end of LINE, on a
# terminal of its own, with FOLDER/_t3probe in $fpath; what it offers follows <offered>.
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1= PS2= PROMPT_EOL_MARK='
zpty -w shell "fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -D -u"
zpty -w shell 'compadd() {
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
  local -a found; builtin compadd -A found "$@"; print -rl -- "<offered>"$^found
  builtin compadd "$@"
}'
zpty -w shell 'ended() { print "<end>"; exit }; comppostfuncs=(ended)'
zpty -w shell "bindkey '^I' complete-word; print '<ready''>'"
zpty -r shell shown '*<ready>*'
zpty -w -n shell "$2"$'\t'
zpty -r shell shown '*<end>*'
print -r -- $shown
