@echo off
rem Installs the course from the folder of this file, with no network:
rem   install.bat [FOLDER]
setlocal
set "RUN="
for %%v in ({versions}) do if not defined RUN (
    py -%%v -c "pass" >nul 2>nul && set "RUN=py -%%v"
)
for %%v in ({versions}) do if not defined RUN (
    python -c "import sys; sys.exit('%%v' != '.'.join(map(str, sys.version_info[:2])))" >nul 2>nul && set "RUN=python"
)
if not defined RUN goto missing
rem -B: nothing is written beside the wheels.
%RUN% -B "%~dp0install.py" %*
set "CODE=%errorlevel%"
goto end
:missing
echo install: this bundle needs Python {versions} (any one of these), and
echo install: neither py nor python is one. Install it, then run this again.
set "CODE=1"
:end
rem Whoever came here with a double click wants to read the last lines.
pause
exit /b %CODE%
