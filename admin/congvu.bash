# congvu.bash: bash completion of congvu. What there is to complete it takes from `congvu help`, so that it knows what the program knows.
# shellcheck shell=bash

# The forms of a command, as `congvu help COMMAND` has them: "agency move CODE --parent CODE|--top ...".
_congvu_forms()
{
	command congvu --lang en help "$1" 2>/dev/null | sed -n 's/^  congvu \[-c FILE\] \[--json\] //p'
}

_congvu()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev='' command='' verb='' forms word i
	COMPREPLY=()
	[ "$COMP_CWORD" -gt 0 ] && prev=${COMP_WORDS[COMP_CWORD - 1]}
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		-c | --lang) i=$((i + 1)) ;;
		-*) ;;
		*)
			if [ -z "$command" ]; then
				command=$word
			elif [ -z "$verb" ]; then
				verb=$word
			fi
			;;
		esac
	done
	case $prev in
	-c | --out | --file | --cert | --mailbox-cert | --text-file | --password-file | --bind-password-file)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--lang)
		mapfile -t COMPREPLY < <(compgen -W 'vi en' -- "$cur")
		return
		;;
	esac
	if [ -z "$command" ]; then
		mapfile -t COMPREPLY < <(compgen -W "$(command congvu --lang en --help 2>/dev/null |
			sed -n 's/^  \([a-z][a-z]*\)  *[A-Z].*/\1/p') -c --json --lang --help" -- "$cur")
		return
	fi
	forms=$(_congvu_forms "$command")
	if [ -z "$verb" ] && [ "${cur#-}" = "$cur" ]; then
		word=$(printf '%s\n' "$forms" | awk '$2 ~ /^[a-z|]+$/ { n = split($2, v, "|"); for (i = 1; i <= n; i++) print v[i] }')
		mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
		return
	fi
	forms=$(printf '%s\n' "$forms" | awk -v verb="$verb" '{ n = split($2, v, "|"); for (i = 1; i <= n; i++) if (verb == "" || v[i] == verb) { print; break } }')
	if [ "${prev#--}" != "$prev" ]; then
		# "--kind office|dept": the words that an option takes, where they are words
		word=$(printf '%s\n' "$forms" | tr -d '[]' | awk -v o="$prev" '{ for (i = 1; i < NF; i++) if ($i == o) print $(i + 1) }' |
			sed 's/,\.\.\.$//' | tr '|' '\n' | grep -x '[a-z][a-z]*' | sort -u)
		if [ -n "$word" ]; then
			mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
			return
		fi
	fi
	case $cur in
	-*)
		word=$(printf '%s\n' "$forms" | grep -o -e '--[a-z][a-z-]*' | sort -u)
		mapfile -t COMPREPLY < <(compgen -W "$word --json --help" -- "$cur")
		;;
	*) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
	esac
}
complete -F _congvu congvu
